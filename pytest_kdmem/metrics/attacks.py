"""Attacks on membership: what each takes from the scores of an example, the higher, the more likely a member.

All are functions of columns that the one pass over a model fills (Yeom et al. 2018 for the loss; Carlini et al. 2021,
“Extracting Training Data from Large Language Models”, for the ratio to zlib and for calibration by another model; Shi
et al. 2024 for Min-K%; Zhang et al. 2025 for Min-K%++; compared by Duan et al. 2024, “Do Membership Inference Attacks
Work on Large Language Models?”).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, get_args

import numpy as np

from pytest_kdmem.base.arrays import Values
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.errors.harmless import quoted
from pytest_kdmem.metrics.memorization import Memorization

Attack = Literal["loss", "zlib", "min_k", "min_k_plus", "calibrated"]
ATTACKS: tuple[Attack, ...] = get_args(Attack)
# How texts name them.
ATTACK_NAMES: dict[Attack, str] = {
    "loss": "loss",
    "zlib": "loss per zlib byte",
    "min_k": "Min-K%",
    "min_k_plus": "Min-K%++",
    "calibrated": "loss calibrated by another model",
}
_COLUMNS: dict[Attack, tuple[str, ...]] = {
    "loss": ("nll",),
    "zlib": ("nll", "zlib_bytes"),
    "min_k": ("min_k",),
    "min_k_plus": ("min_k_plus",),
    "calibrated": ("nll",),
}
_FORMULAS: dict[Attack, Callable[[Mapping[str, Values]], Values]] = {
    "loss": lambda columns: -columns["nll"],
    "zlib": lambda columns: -columns["nll"] / columns["zlib_bytes"],
    "min_k": lambda columns: columns["min_k"],
    "min_k_plus": lambda columns: columns["min_k_plus"],
    "calibrated": lambda columns: columns["reference nll"] - columns["nll"],
}


def check_attack(name: object) -> None:
    """Raise SpecError unless a name is that of an attack."""
    if name not in ATTACKS:
        raise SpecError(f"An attack must be one of {', '.join(ATTACKS)}; found {quoted(name)}.")


def absence(attack: Attack, scored: Memorization, reference: Memorization | None) -> str:
    """Return why an attack has no scores for the examples of a set, or an empty string if it has.

    Args:
        attack: Name of the attack.
        scored: Scores of the attacked model over the set.
        reference: Scores of the model that calibrates its loss over the same set.
    """
    if attack == "calibrated" and reference is None:
        return "no other model is given to calibrate the loss: pass reference=Model(…)"
    for name in _COLUMNS[attack]:
        rows = scored.scores.rows
        if name in rows.schema.names and not scored.distinct_rows.at_first(rows[name]).null_count:
            continue
        source = scored.scores.training_set.source
        if name == "zlib_bytes":
            return f"no tokenizer lies beside the model, so {source} has no text to compress"
        return f"{name} was not scored for every example of {source}"
    return ""


def attack_values(attack: Attack, scored: Memorization, reference: Memorization | None) -> Values:
    """Return the scores ``[n]`` of an attack for the distinct examples of a set.

    Raises:
        SpecError: The attack has none.
        DataError: A score is not finite.
    """
    if reason := absence(attack, scored, reference):
        raise SpecError(f"An attack by {ATTACK_NAMES[attack]} was expected on {scored.subject}, and {reason}.")
    columns = {name: scored.distinct_rows.values(scored.scores.rows[name]) for name in _COLUMNS[attack]}
    if attack == "calibrated" and reference is not None:
        columns["reference nll"] = reference.distinct_rows.values(reference.scores.rows["nll"])
    values = _FORMULAS[attack](columns)
    if not np.isfinite(values).all():
        raise DataError(
            f"Finite scores of the attack by {ATTACK_NAMES[attack]} were expected on {scored.subject}, and"
            f" {int((~np.isfinite(values)).sum())} of {len(values)} are not: score the models anew, in float32."
        )
    return values
