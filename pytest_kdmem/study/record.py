"""The results of a study: a score table per model, and which rows of D are copies of one document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

from pytest_kdmem.canaries.measured import MeasuredCanaries
from pytest_kdmem.errors import DataError
from pytest_kdmem.scoring.table import PairTable
from pytest_kdmem.study.answers import Answers

Role = Literal["teacher", "baseline", "soft", "hard", "on-policy"]


@dataclass(frozen=True, eq=False)
class ModelRun:
    """One trained model and its scores on its training set.

    Args:
        part: part that the model was trained for: ``main``, ``temperature``, ``size``, ``families``, ``pilot``,
            ``prefilter``, ``canaries``, ``on_policy`` or ``absent``.
        family: family of its architecture and tokenizer; token ids are comparable within one family only.
        dataset: name of the data set it was trained on.
        role: teacher, baseline, soft, hard or on-policy student.
        size: name of its size, such as ``large`` or ``small``.
        seed: seed of the order of its data.
        temperature: temperature of a soft or on-policy student; None for the others.
        parameters: number of parameters of the whole model.
        seconds: seconds of training.
        held_out_loss: loss on the data set's held-out text, in nats per token.
        scores: a row per row of D, repeats included; every column filled.
        pair: for a baseline, its scores and those of the teacher of its part, with the divergence between the two.
        left_out: for a student that was distilled on a part of D, the rows of D that it never saw
            (`removal.REMOVED_SCHEMA`).
        unseen: for a student that was distilled on a share of D, the documents of D that its teacher alone saw.
        canaries: what it shows of the canaries that its training set held; None if it held none.
        answers: what was answered to further questions; None if none were asked.
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
    unseen: frozenset[int] = frozenset()
    canaries: MeasuredCanaries | None = None
    answers: Answers | None = None


@dataclass(frozen=True)
class Study:
    """All models of a study.

    Args:
        name: name of the study.
        settings: the configuration as plain values.
        runs: the models, parents before the models made from them.
        documents: for each data set, the number of the document in each row of D; copies have the same number, and all
            families use the same numbers.
    """

    name: str
    settings: dict[str, Any]
    runs: tuple[ModelRun, ...]
    documents: dict[str, tuple[int, ...]]

    def select(self, **wanted: object) -> tuple[ModelRun, ...]:
        """The runs whose fields have the wanted values, in the order they were made; possibly none."""
        return tuple(run for run in self.runs if all(getattr(run, name) == value for name, value in wanted.items()))

    def one(self, **wanted: object) -> ModelRun:
        """The one run whose fields have the wanted values.

        Raises:
            DataError: there is none, or more than one.
        """
        runs = self.select(**wanted)
        if len(runs) == 1:
            return runs[0]
        described = ", ".join(f"{name} {value}" for name, value in wanted.items()) or "any"
        if not runs:
            raise DataError(
                f"A model of the study was expected with {described}, and study {self.name} holds none;"
                " run the part that trains it."
            )
        raise DataError(
            f"One model of the study was expected with {described}, and study {self.name} holds {len(runs)};"
            " ask for more fields to tell them apart."
        )
