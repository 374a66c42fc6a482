"""Entries of an audit's result on models, sets, metrics and gates, each of which is an object of the JSON report."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from pytest_kdmem.metrics.direction import Operator
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.risk.reliability import Bin
from pytest_kdmem.scoring.too_short import TooShort


def check(condition: bool, expected: str) -> None:
    """Raise ValueError for an entry that no audit makes and no report can be rendered from."""
    if not condition:
        raise ValueError(f"{expected} expected")


@dataclass(frozen=True)
class ScreeningEntry:
    """Counts of distinct examples in a run in two dtypes.

    Attributes:
        dtype: Dtype that scored every example first.
        screened: Number of examples that it scored.
        decided: Number of examples that the dtype of the model's entry scored again.
        changed: Number of these whose verdict it changed.
        band: Half the width, in logits, of the band around zero in which every example was decided.
        widened: Number of times that a control sample widened the band.
    """

    dtype: str
    screened: int
    decided: int
    changed: int
    band: float
    widened: int


@dataclass(frozen=True)
class ModelEntry:
    """A model, and the engine that gave its verdicts.

    Attributes:
        source: Folder or hub id.
        revision: Revision on the hub; None for the newest one, or a folder.
        digest: Digest of the checkpoint.
        parameters: Number of parameters.
        architecture: Name of the architecture's class.
        engine: Engine that gave the verdicts.
        device: Device that the engine ran on.
        dtype: Dtype that decided the verdicts.
        tolerance: Half the width of the ambiguous band, in logits.
        run: Summary of the model's run card (`RunCard.summary`); None if it has none that is trusted.
        screening: Counts of examples that a fast dtype screened and ``dtype`` decided; None if that scored all.
        base: Last part of the source of the model that this adapter is merged into; None of a whole model.
        quantization: Packages that quantized weights were loaded by, and whether they were dequantized; None of plain
            weights.
        declared: How it is loaded otherwise than by default, by the argument of a model: ``base``,
            ``trust_remote_code``.
    """

    source: str
    revision: str | None
    digest: str
    parameters: int
    architecture: str
    engine: str
    device: str
    dtype: str
    tolerance: float
    run: dict[str, Any] | None = None
    screening: ScreeningEntry | None = field(default=None, metadata={"json_default": "left out"})
    base: str | None = field(default=None, metadata={"json_default": "left out"})
    quantization: str | None = field(default=None, metadata={"json_default": "left out"})
    declared: dict[str, Any] = field(default_factory=dict, metadata={"json_default": "left out"})


@dataclass(frozen=True)
class DataEntry:
    """A training set or control set.

    Attributes:
        source: File, folder, hub id or address.
        digest: Digest of the token ids.
        examples: Number of examples.
        distinct: Number of distinct examples that are long enough, over which rates are taken.
        too_short: Number of rows that are too short to be scored.
        duplicates: Number of further copies of distinct examples.
        exhaustive: Whether the whole set was scored rather than a sample.
        left_out: Number of documents below the set's own least length, which are no examples.
        unaudited_turns: Number of turns of conversations that are as long as a suffix and no examples, as they are not
            the assistant's.
        stratified: How a sample was stratified, in a few words; empty if it was not.
        in_training_set: Number of distinct examples of a teacher set that no figure counts, as their suffix stands in
            the training set.
        too_short_distinct: Number of distinct examples in the rows that are too short; None if unknown, as of a sample.
        too_short_copies: Greatest number of these rows that are copies of one example; 0 if unknown.
        longer: Number of rows that go on behind prefix and suffix; None in the first reports.
        is_of_answers: Whether the examples are turns of conversations, whose suffix stands behind all before it.
        reading: Settings by which the set is read that are not the default, by the argument of a training set.
    """

    source: str
    digest: str
    examples: int
    distinct: int
    too_short: int
    duplicates: int
    exhaustive: bool
    left_out: int = 0
    unaudited_turns: int = field(default=0, metadata={"json_default": "left out"})
    stratified: str = field(default="", metadata={"json_default": "left out"})
    in_training_set: int = field(default=0, metadata={"json_default": "left out"})
    too_short_distinct: int | None = field(default=None, metadata={"json_default": "left out"})
    too_short_copies: int = field(default=0, metadata={"json_default": "left out"})
    longer: int | None = field(default=None, metadata={"json_default": "left out"})
    is_of_answers: bool = field(default=False, metadata={"json_default": "left out"})
    reading: dict[str, Any] = field(default_factory=dict, metadata={"json_default": "left out"})

    @property
    def short(self) -> TooShort:
        """What is too short to be scored."""
        return TooShort(self.too_short, self.too_short_distinct, self.too_short_copies)


@dataclass(frozen=True)
class HeldOutEntry:
    """A model on the control set, whose recited examples are predictable and not memorized."""

    rate: Estimate
    loss: Estimate
    perplexity: float


@dataclass(frozen=True)
class InheritanceEntry:
    """The examples that teacher, baseline and student have in common.

    Attributes:
        cells: Number of examples by the models that recite them.
        inherited: Number of inherited examples.
        inherited_examples: Ids of the inherited examples.
        ratio: Inherited share of the examples that the teacher recites and the baseline does not.
        share: Inherited share of the examples that the student recites.
        easy: Number of examples that all three models recite.
        easy_share: Easy share of the examples that the student recites.
        reduction: The baseline's rate divided by the student's.
        p_value: Exact two-sided McNemar test of student against baseline.
        comparable_on: Digests that must be equal in two comparable entries, by name.
        model_digest: Digest of the student.
    """

    cells: dict[str, int]
    inherited: int
    inherited_examples: tuple[int, ...]
    ratio: Estimate
    share: Estimate
    easy: int
    easy_share: Estimate
    reduction: Estimate
    p_value: float
    comparable_on: dict[str, str] = field(default_factory=dict, metadata={"json": "over"})
    model_digest: str = field(default="", metadata={"json": "of"})

    def __post_init__(self) -> None:
        check(all(size >= 0 for size in self.cells.values()), "cells that hold examples")


@dataclass(frozen=True)
class FurtherInheritance:
    """What a test compared beside the audit's own teacher, baseline and student.

    Attributes:
        teacher, baseline, student: Labels of the models in the report: a role, or a source; with the set if that is not
            the audit's own.
        inheritance: The examples that they have in common.
    """

    teacher: str
    baseline: str
    student: str
    inheritance: InheritanceEntry


@dataclass(frozen=True)
class RiskEntry:
    """What a future student is predicted to memorize of the training set.

    Attributes:
        share_at_risk: Share of the distinct examples that are at risk.
        expected_memorized: Expected number of memorized examples.
        examples: Ids of the examples at risk, highest risk first.
        exact_duplicates: Number of examples at risk with exact duplicates; None over a sample.
        near_duplicates: Number of the others with near-duplicates; None over a sample.
        threshold: Risk at which an example is at risk.
        recall: Share of the memorized examples that reach the threshold, by trials on held-out examples.
        features: Names of the predictor's features.
        labels: Source of the labels that the predictor was fitted to.
        fitted_to: Number of examples that the predictor was fitted to.
        positives: Number of these that were memorized.
        predictor: Digest of the predictor.
        quality: Mean and standard deviation of each figure of the trials, by name.
        edges: Edges of the histogram of risks, ``[b + 1]``.
        counts: Number of distinct examples in each bin of the histogram, ``[b]``.
        reliability: Corrected risks of held-out examples against the share memorized; none of an older predictor.
        comparable_on: Digests and the requested threshold, which must be equal in two comparable entries, by name.
    """

    share_at_risk: Estimate
    expected_memorized: Estimate
    examples: tuple[int, ...]
    exact_duplicates: int | None
    near_duplicates: int | None
    threshold: float
    recall: float
    features: tuple[str, ...]
    labels: str
    fitted_to: int
    positives: int
    predictor: str
    quality: dict[str, tuple[float, ...]]
    edges: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()
    reliability: tuple[Bin, ...] = ()
    comparable_on: dict[str, str] = field(default_factory=dict, metadata={"json": "over"})

    def __post_init__(self) -> None:
        check(len(self.edges) == len(self.counts) + bool(self.counts), "one edge more than counts of risk")


Outcome = Literal["pass", "fail", "inconclusive", "error"]


@dataclass(frozen=True)
class GatePart:
    """A further part of a training set, as a group, that does not meet the threshold of one gate over all parts.

    Attributes:
        estimate: Figure of the part.
        threshold: What it was compared with.
        outcome: Outcome of the part alone.
        reason: Reason for the outcome, in one line.
    """

    estimate: Estimate
    threshold: Estimate | float
    outcome: Outcome
    reason: str


@dataclass(frozen=True)
class Gate:
    """One comparison of an audit, or the outcome of a test that made none.

    A comparison of all groups at once is one gate, whether it holds or not.

    Attributes:
        name: Name of the test.
        nodeid: Node id of the test.
        metric: Name of the metric; empty if there is no comparison.
        estimate: Left-hand side; of a gate over parts of a training set, that of the worst part.
        operator: Operator between the two sides.
        threshold: Right-hand side: a number, another model's estimate, or an accepted value.
        outcome: Outcome of the comparison or the test.
        reason: Reason for the outcome, in one line.
        next_step: What to do about a gate that did not pass, in a sentence.
        command: Command to run next about a gate that did not pass.
        path: File of the test, relative to the root; empty in the first reports.
        line: Line in the file, from 1; 0 in the first reports.
        further_parts: The next parts that do not hold either, the first of very many, if the gate is over several.
        parts_not_held: Number of all parts that do not hold; 0 if the gate is not over parts, and in the first reports.
    """

    name: str
    nodeid: str
    metric: str
    estimate: Estimate | None
    operator: Operator | None
    threshold: Estimate | float | None
    outcome: Outcome
    reason: str
    next_step: str = ""
    command: str = ""
    path: str = ""
    line: int = 0
    further_parts: tuple[GatePart, ...] = field(default=(), metadata={"json_default": "left out"})
    parts_not_held: int = field(default=0, metadata={"json_default": "left out"})
