"""RunCard ↔ ``kdmem_run.json``: how a model of ours was made, beside its weights and bound to them by their digest."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_kdmem.base.files import write_bytes
from pytest_kdmem.base.text import last_part
from pytest_kdmem.base.typed_json import from_json, to_json, to_json_number
from pytest_kdmem.base.versioned_file import VersionedFile
from pytest_kdmem.errors import DataError

FILE_NAME = "kdmem_run.json"
SCHEMA_VERSION = 1
CURVES = ("loss_curve", "held_out")
Curve = tuple[tuple[int, float], ...]
Setting = str | int | float | bool | None


@dataclass(frozen=True)
class ModelOrigin:
    """A model that a run used; ``digest`` is its checkpoint's (`checkpoint.Checkpoint.digest`)."""

    source: str
    digest: str


@dataclass(frozen=True)
class DataOrigin:
    """What a model was trained on; ``fingerprint`` is that of `training_fingerprint`, None where content is unknown."""

    source: str
    fingerprint: str | None
    examples: int
    tokens: int

    @property
    def name(self) -> str:
        """As `TrainingSet.name`, whether the source is a path or that name."""
        return last_part(self.source).split(".")[0]


@dataclass(frozen=True)
class RunCard:
    """One training run.

    Args:
        weights: digest of the weights that came of it, by `checkpoint.weights_digest`; of configuration and tokenizer
            beside them the card says nothing.
        mode: ``baseline``, ``soft`` or ``hard``.
        recipe: settings of the recipe, by name.
        loss: what was minimised, in words: ``forward KL, T = 2``.
        init: the model that training started from.
        teacher: the model that was learned from; None where there was none.
        training_set: what it was trained on; for ``hard``, what the teacher continued.
        extraction: lengths in tokens, by name.
        steps: optimizer steps.
        epochs: passes over the training set.
        seconds: of training, all stretches of a resumed run together.
        processes: that trained side by side.
        resumed_at: steps at which the run was taken up again.
        versions: of packages, by name.
        loss_curve: (step, training loss), in order.
        held_out: (step, loss on held-out text), in order.
    """

    weights: str
    mode: str
    recipe: dict[str, Setting]
    loss: str
    init: ModelOrigin
    teacher: ModelOrigin | None
    training_set: DataOrigin
    extraction: dict[str, int]
    steps: int
    epochs: int | float
    seconds: int | float
    processes: int
    resumed_at: tuple[int, ...]
    versions: dict[str, str]
    loss_curve: Curve = ()
    held_out: Curve = ()

    @property
    def last_held_out(self) -> float | None:
        """Loss on held-out text at the end of the run; None where none was measured."""
        return self.held_out[-1][1] if self.held_out else None

    def to_json(self) -> dict[str, Any]:
        """The card as strict JSON: a loss that is not finite is None or "inf"."""
        return {**RUN_CARD.header, **to_json(self)}

    def summary(self) -> dict[str, Any]:
        """The card without its curves, for reports; ``last_held_out`` stands for them.

        Of sources it has the last part only: a path tells of the machine that it was on.
        """
        whole = {key: value for key, value in self.to_json().items() if key not in CURVES}
        for name in ("init", "teacher", "training_set"):
            if whole[name] is not None:
                whole[name] = {**whole[name], "source": last_part(whole[name]["source"])}
        return {**whole, "last_held_out": to_json_number(self.last_held_out)}

    @staticmethod
    def from_json(content: Any) -> RunCard:
        """Read what `to_json` gave.

        Raises:
            DataError: it is of another schema version, or a part of it is missing, unknown or of another kind.
        """
        return RUN_CARD.value(content)


def _decoded(entries: dict[str, Any]) -> RunCard:
    json.dumps(entries, ensure_ascii=False, allow_nan=False).encode()  # reports must be able to hold all of it
    card = from_json(RunCard, entries, complete=True)
    if not (math.isfinite(card.epochs) and math.isfinite(card.seconds)):
        raise ValueError("finite epochs and seconds were expected")
    return card


RUN_CARD = VersionedFile("A run card", SCHEMA_VERSION, _decoded, f"train the model again, or remove its {FILE_NAME}")


def checked_summary(content: Mapping[str, Any]) -> dict[str, Any]:
    """What `RunCard.summary` gave, once it is known to be that.

    Raises:
        DataError: it is not.
    """
    whole = {key: value for key, value in content.items() if key != "last_held_out"}
    RunCard.from_json({**whole, **{name: [] for name in CURVES}})
    return dict(content)


def read_run_card(folder: Path) -> RunCard | None:
    """The card in a model folder; None where there is none.

    Raises:
        DataError: there is a file of its name that is no run card.
    """
    return RUN_CARD.read_if_present(folder / FILE_NAME)


def write_run_card(card: RunCard, folder: Path) -> None:
    """Write a card into a model folder, whole or not at all.

    Raises:
        DataError: the folder cannot be written.
    """
    text = json.dumps(card.to_json(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    path = folder / FILE_NAME
    write_bytes(
        text.encode("utf-8"),
        path,
        lambda reason: DataError(f"A run card was to be written at {path}, which is not possible ({reason})."),
    )
