"""Which thresholds are held where Python names them: those that are named, and no other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import cast

from pytest_kdmem.errors import SpecError
from pytest_kdmem.errors.harmless import listed, quoted
from pytest_kdmem.specs.checks import limit_of_share, number, plain, require
from pytest_kdmem.specs.declared import Thresholds
from pytest_kdmem.specs.roles import REFERENCES

NAMES = tuple(field.name for field in fields(Thresholds))
# Thresholds that only an audit from Python names; under pytest these gates are written as comparisons.
FURTHER = {
    "max_near_verbatim_rate": limit_of_share,
    "max_membership_tpr": limit_of_share,
    "max_membership_auc": limit_of_share,
    "max_canary_exposure": number(least=0),
}


def split_references(
    gates: Mapping[str, float | str] | Thresholds,
) -> tuple[Mapping[str, float] | Thresholds, dict[str, str]]:
    """Return the gates whose threshold is a number, and by name those whose threshold is the figure of another model.

    Raises:
        SpecError: A gate that is a word names no such model, or its figure is not compared with that of another.
    """
    if not isinstance(gates, Mapping):
        return gates, {}
    # Unknown names are refused with the numbers.
    references = {name: value for name, value in gates.items() if isinstance(value, str) and name in (*NAMES, *FURTHER)}
    for name, value in references.items():
        if name in FURTHER and value not in REFERENCES:
            raise SpecError(f"{name} must be a number, or one of {listed(REFERENCES)}; found {quoted(value)}.")
        if name in NAMES:
            raise SpecError(
                f"{name} must be a number; found {quoted(value)}: figures of two models are compared by"
                f" {listed(FURTHER)}, and rates by min_reduction."
            )
    numbers = {name: cast(float, value) for name, value in gates.items() if name not in references}
    return numbers, references


def named_thresholds(gates: Mapping[str, float] | Thresholds, *, with_further: bool = False) -> dict[str, float]:
    """Return the thresholds to hold by name, in the order of `Thresholds`, and then of `FURTHER`.

    Args:
        gates: Thresholds by the names of the fields of `Thresholds`, of which only those that are named are held; or a
            `Thresholds`, all of which are.
        with_further: Whether those of `FURTHER` may be named as well.

    Raises:
        SpecError: A name is none of these, or a threshold is no number or outside its range.
    """
    if isinstance(gates, Thresholds):
        return asdict(gates)
    if not isinstance(gates, Mapping):
        raise SpecError(f"Gates must be a mapping from names to thresholds, or a Thresholds; found {quoted(gates)}.")
    valid_names = (*NAMES, *FURTHER) if with_further else NAMES
    if unknown := [name for name in gates if name not in valid_names]:
        raise SpecError(f"Gates must be of {listed(valid_names)}; found {quoted(unknown[0])}.")
    thresholds = asdict(Thresholds(**{name: gates[name] for name in NAMES if name in gates}))
    for name in FURTHER.keys() & gates.keys():
        thresholds[name] = plain(gates[name])
        require(name.replace("_", "-"), thresholds[name], FURTHER[name])
    return {name: thresholds[name] for name in valid_names if name in gates}
