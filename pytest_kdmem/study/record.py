"""What a study leaves behind: a score table per model, and which rows of D share a document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

from pytest_kdmem.errors import DataError
from pytest_kdmem.scoring.table import PairTable

Role = Literal["teacher", "baseline", "soft", "hard"]


@dataclass(frozen=True, eq=False)
class ModelRun:
    """One trained model and what it makes of its training set.

    Args:
        part: what the model was trained for: ``main``, ``temperature``, ``size``, ``families``, ``pilot`` or
            ``prefilter``.
        family: of its architecture and tokenizer; ids are comparable within one family only.
        dataset: the name of the data it was trained on.
        role: teacher, baseline, soft or hard student.
        size: the name of its size, such as ``large`` or ``small``.
        seed: of the order of its data.
        temperature: T of a soft student; None for the others.
        parameters: of the whole model.
        seconds: its training took.
        held_out_loss: nats a token, over the data set's held-out text.
        scores: a row per row of D, repeats included; every column filled.
        pair: of a baseline, its scores and those of the teacher of its part, with how far the two are apart.
        left_out: of a student that was distilled on a part of D, the rows of D that it never saw
            (`removal.REMOVED_SCHEMA`).
    """

    part: str
    family: str
    dataset: str
    role: Role
    size: str
    seed: int
    temperature: float | None
    parameters: int
    seconds: float
    held_out_loss: float
    scores: pa.Table
    pair: PairTable | None = None
    left_out: pa.Table | None = None


@dataclass(frozen=True)
class Study:
    """All models of a study.

    Args:
        name: of the study.
        settings: the configuration as plain values.
        runs: the models, parents before what was made from them.
        documents: data set → the number of the text in each row of D: the same for repeats, and in every family.
    """

    name: str
    settings: dict[str, Any]
    runs: tuple[ModelRun, ...]
    documents: dict[str, tuple[int, ...]]

    def select(self, **wanted: object) -> tuple[ModelRun, ...]:
        """The runs whose fields equal all that is wanted, in the order they were made; there may be none."""
        return tuple(run for run in self.runs if all(getattr(run, name) == value for name, value in wanted.items()))

    def one(self, **wanted: object) -> ModelRun:
        """The only run that is as wanted.

        Raises:
            DataError: there is none, or more than one.
        """
        found = self.select(**wanted)
        if len(found) == 1:
            return found[0]
        described = ", ".join(f"{name} {value}" for name, value in wanted.items()) or "any"
        if not found:
            raise DataError(
                f"A model of the study was expected with {described}, and study {self.name} holds none;"
                " run the part that trains it."
            )
        raise DataError(
            f"One model of the study was expected with {described}, and study {self.name} holds {len(found)};"
            " ask for more fields to tell them apart."
        )
