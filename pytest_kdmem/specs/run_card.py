"""The run card ``kdmem_run.json``: how a model was trained, stored beside its weights and bound to them by a digest."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_kdmem.base.files import write_bytes
from pytest_kdmem.base.text import last_part
from pytest_kdmem.base.typed_json import from_json, to_json, to_json_number
from pytest_kdmem.base.versioned_file import VersionedFile
from pytest_kdmem.errors import DataError
from pytest_kdmem.errors.harmless import quoted
from pytest_kdmem.specs.checks import nonempty_text
from pytest_kdmem.specs.reading_kinds import READ_BY_TRAINING, READING_CHECKS, ChatRoles

FILE_NAME = "kdmem_run.json"
SCHEMA_VERSION = 1
CURVES = ("loss_curve", "held_out")
# Mode of a model that another trainer than that of `distill` trained: nothing is known of a teacher or a loss.
OTHER_TRAINER = "trainer"
Curve = tuple[tuple[int, float], ...]
Setting = str | int | float | bool | None


@dataclass(frozen=True)
class ModelOrigin:
    """A model that a training used.

    Args:
        source: Its source as declared.
        digest: Digest of its checkpoint (`Checkpoint.digest`); empty if it is not known.
    """

    source: str
    digest: str


@dataclass(frozen=True)
class DataOrigin:
    """A training set that a model was trained on.

    Args:
        source: Its source as declared, or its name.
        fingerprint: Its `training_fingerprint`; None if the content is unknown.
        examples: Number of examples.
        tokens: Number of tokens in all examples; 0 if they were not counted.
        cleaned_from: Fingerprint of the set that it is a cleaned copy of, by the manifest of `kdmem prefilter`; None of
            any other.
        reading: How it was read (`TrainingSet.reading`); None if it is not known, as in cards of earlier versions.
    """

    source: str
    fingerprint: str | None
    examples: int
    tokens: int
    cleaned_from: str | None = field(default=None, metadata={"json_default": "left out"})
    reading: dict[str, Setting] | None = field(default=None, metadata={"json_default": "left out"})

    @property
    def name(self) -> str:
        """The name as in `TrainingSet.name`, whether the source is a path or that name."""
        return last_part(self.source).split(".")[0]


@dataclass(frozen=True)
class ChatTraining:
    """How a training read conversations.

    Args:
        template: Digest of its chat template (`digest_templates`); empty if it used none.
        template_source: Where that template came from, in words.
        roles: Whose tokens it took the loss of: the ``assistant``'s, or ``all``; None if that is not known.
    """

    template: str
    template_source: str
    roles: ChatRoles | None


@dataclass(frozen=True)
class RunCard:
    """How one model was trained.

    Args:
        weights: Digest of the trained weights (`weights_digest`); it does not cover configuration and tokenizer.
        mode: ``baseline``, ``soft`` or ``hard``; or ``trainer`` of another trainer than that of `distill`.
        recipe: Settings of the recipe, by name.
        loss: The loss in words, such as ``forward KL, T = 2``.
        init: The model that training started from.
        teacher: The model that was distilled; None for a baseline.
        training_set: The training set; for ``hard``, the text that the teacher continued.
        extraction: Lengths in tokens, by name.
        steps: Number of optimizer steps.
        epochs: Number of passes over the training set.
        seconds: Seconds of training, over all stretches of a resumed run.
        processes: Number of processes that trained in parallel.
        resumed_at: Steps at which the training was resumed.
        versions: Versions of packages, by name.
        loss_curve: Pairs (step, training loss), in order.
        held_out: Pairs (step, loss on held-out text), in order.
        memorization_curve: Pairs (step, memorization rate of a sample of the training set), in order.
        chat: How it read conversations; None of other rows, and in cards of earlier versions.
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
    memorization_curve: Curve = field(default=(), metadata={"json_default": "left out"})
    chat: ChatTraining | None = field(default=None, metadata={"json_default": "left out"})

    @property
    def last_held_out(self) -> float | None:
        """Loss on held-out text at the end of training; None if it was not measured."""
        return self.held_out[-1][1] if self.held_out else None

    def to_json(self) -> dict[str, Any]:
        """The card as strict JSON, in which a loss that is not finite is None or "inf"."""
        return {**RUN_CARD.header, **to_json(self)}

    def summary(self) -> dict[str, Any]:
        """The card for reports: without the curves of its losses, but with ``last_held_out``.

        Sources are cut to their last part, because a path can reveal details of the machine.
        """
        content = {key: value for key, value in self.to_json().items() if key not in CURVES}
        for name in ("init", "teacher", "training_set"):
            if content[name] is not None:
                content[name] = {**content[name], "source": last_part(content[name]["source"])}
        return {**content, "last_held_out": to_json_number(self.last_held_out)}

    @staticmethod
    def from_json(content: Any) -> RunCard:
        """Decode what `to_json` returns.

        Raises:
            DataError: The content is no run card, or a run card of another schema version.
        """
        return RUN_CARD.value(content)


def _decoded(entries: dict[str, Any]) -> RunCard:
    json.dumps(entries, ensure_ascii=False, allow_nan=False).encode()  # reports must be able to hold all of it
    card = from_json(RunCard, entries, complete=True)
    if not (math.isfinite(card.epochs) and math.isfinite(card.seconds)):
        raise ValueError("finite epochs and seconds were expected")
    for name, value in (card.training_set.reading or {}).items():
        if name not in READ_BY_TRAINING:
            raise ValueError(f"reading holds {quoted(name)}")
        if expected := READING_CHECKS.get(name, nonempty_text)(value):
            raise ValueError(f"{name} must be {expected}")
    return card


RUN_CARD = VersionedFile("A run card", SCHEMA_VERSION, _decoded, f"train the model again, or remove its {FILE_NAME}")


def checked_summary(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of what `RunCard.summary` returns.

    Raises:
        DataError: The content is no such summary.
    """
    entries = {key: value for key, value in content.items() if key != "last_held_out"}
    RunCard.from_json({**entries, **{name: [] for name in CURVES}})
    return dict(content)


def read_run_card(folder: Path) -> RunCard | None:
    """The run card in a model folder; None if the folder has none.

    Raises:
        DataError: The file of that name is no run card.
    """
    return RUN_CARD.read_if_present(folder / FILE_NAME)


def write_run_card(card: RunCard, folder: Path) -> None:
    """Write a run card into a model folder, whole or not at all.

    Raises:
        DataError: The file cannot be written.
    """
    text = json.dumps(card.to_json(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    path = folder / FILE_NAME
    write_bytes(
        text.encode("utf-8"),
        path,
        lambda reason: DataError(f"A run card was to be written at {path}, which is not possible ({reason})."),
    )
