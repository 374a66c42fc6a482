"""What the record of an audit is made of: frozen values, each of which is an object of the JSON report."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal

from pytest_kdmem.metrics.estimate import Estimate, Operator
from pytest_kdmem.risk.reliability import Bin


def _check(holds: bool, expected: str) -> None:
    """Raise ValueError for an entry that no audit gives, and no report can be made of."""
    if not holds:
        raise ValueError(f"{expected} expected")


@dataclass(frozen=True)
class ModelEntry:
    """A model, and what gave its verdicts: engine, device, dtype; ambiguous within ``tolerance`` logits.

    ``run`` is how it was made, where a run card tells (`run_card.RunCard.summary`).
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


@dataclass(frozen=True)
class DataEntry:
    """A training or control set; ``distinct`` counts what rates are taken over.

    ``left_out`` are documents below the set's own least length, which are no examples of it.
    """

    source: str
    digest: str
    examples: int
    distinct: int
    too_short: int
    duplicates: int
    exhaustive: bool
    left_out: int = 0


@dataclass(frozen=True)
class HeldOutEntry:
    """A model on the control set: what is predictable, not memorized."""

    rate: Estimate
    loss: Estimate
    perplexity: float


@dataclass(frozen=True)
class InheritanceEntry:
    """Who recites the same examples.

    ``over`` and ``of`` are digests of what it was taken over, and of the student.
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
        _check(all(size >= 0 for size in self.cells.values()), "cells that hold examples")


@dataclass(frozen=True)
class RiskEntry:
    """What a student to come is predicted to memorize of the training set.

    Attributes:
        examples: ids at risk, highest risk first.
        exact_duplicates: of them, those that stand in the training set more than once.
        near_duplicates: of the others, those that are nearly another example; None of both over a sample.
        threshold: the probability at which an example is at risk.
        recall: share of what is memorized that lies at or above it, by trials on held-out examples.
        labels: who memorized the ``positives`` among the ``fitted_to`` examples that the predictor learned from.
        predictor: its digest.
        quality: its trials' figures by name, mean and standard deviation each.
        edges: ``[b + 1]``, risks between which the ``[b]`` ``counts`` of distinct examples lie.
        reliability: corrected risks of examples not trained on against what came of them; of a predictor that was
            fitted before it told this, none.
        over: what must be the same for another to be comparable: digests, and the threshold that was asked for.
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
        _check(len(self.edges) == len(self.counts) + bool(self.counts), "one edge more than counts of risk")


@dataclass(frozen=True)
class EngineCheckEntry:
    """An engine, asked in one ``way``: its own pass (scored) or its greedy decoding (decoded)."""

    engine: str
    method: str = field(metadata={"json": "way"})
    checked: int


@dataclass(frozen=True)
class ConfirmationEntry:
    """Verdicts of a run against witnesses; each disagreement tells whose it is.

    ``ambiguous`` examples there are, and ``ambiguous_checked`` were put to the witnesses; tolerances are in logits.
    Reports of before there were witnesses tell of one decoding, and nothing of what is None here.
    """

    checked: int
    ambiguous_checked: int
    disagreements: tuple[dict[str, Any], ...]
    engine_checks: tuple[EngineCheckEntry, ...] = field(default=(), metadata={"json": "witnesses"})
    ambiguous: int | None = None
    claimed_tolerance: float | None = None
    implied_tolerance: float | None = None
    greatest_difference: float | None = None


@dataclass(frozen=True)
class ModelColumns:
    """What one model made of each row of `ExamplesEntry`; None where that was not scored, or dropped early.

    Attributes:
        memorized, ambiguous: 1 or 0.
        margin: least over the suffix, in logits.
        perplexity: of the window.
        logprob: of the suffix, in nats.
    """

    memorized: tuple[int, ...]
    ambiguous: tuple[int, ...]
    margin: tuple[float | None, ...]
    perplexity: tuple[float | None, ...]
    logprob: tuple[float | None, ...]


@dataclass(frozen=True)
class ExamplesEntry:
    """A row per distinct example that any model recites or may recite, and per one of those of highest risk.

    Attributes:
        example_id: position in the training set, ascending.
        digest: of the token ids.
        copies: how often it stands in the training set; over a sample, of which nobody counted them, 1.
        zlib_bytes: of its window's text, None where that is not known.
        risk: predicted, None where nothing was predicted.
        models: columns by role.
        prefix, suffix: text, only where it was asked for; else empty.
    """

    example_id: tuple[int, ...]
    digest: tuple[str, ...]
    copies: tuple[int, ...]
    zlib_bytes: tuple[int | None, ...]
    risk: tuple[float | None, ...]
    models: dict[str, ModelColumns]
    prefix: tuple[str, ...] = ()
    suffix: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        own = (self.digest, self.copies, self.zlib_bytes, self.risk, self.prefix or self.digest)
        of_models = [getattr(one, name.name) for one in self.models.values() for name in fields(ModelColumns)]
        rows = {len(self.example_id), *map(len, (*own, self.suffix or self.digest, *of_models))}
        _check(len(rows) == 1, "columns of examples that are equally long")


@dataclass(frozen=True)
class RepetitionBin:
    """Distinct examples that stand ``least`` to ``most`` times in the training set, and how many are memorized."""

    least: int
    most: int
    memorized: int
    n: int

    def __post_init__(self) -> None:
        _check(0 <= self.memorized <= self.n and self.n > 0, "a bin of repetition that holds what is memorized of it")


@dataclass(frozen=True)
class ModelDistributions:
    """One model over all distinct examples.

    Attributes:
        margins: ``[b]``, examples by margin, between the edges of `DistributionsEntry`.
        without_margin: examples that were dropped at an early miss, so that only a bound of their margin is known.
        repetition: by copies, ascending; none over a sample.
        zlib_bytes, perplexity: of examples drawn from those that it does not recite, where both are known.
    """

    margins: tuple[int, ...]
    without_margin: int
    repetition: tuple[RepetitionBin, ...]
    zlib_bytes: tuple[int, ...]
    perplexity: tuple[float, ...]

    def __post_init__(self) -> None:
        _check(len(self.zlib_bytes) == len(self.perplexity), "as many perplexities as sizes")


@dataclass(frozen=True)
class DistributionsEntry:
    """What pictures are drawn of. ``edges`` ``[b + 1]`` are margins in logits; the outer bins hold all beyond."""

    edges: tuple[float, ...]
    models: dict[str, ModelDistributions]

    def __post_init__(self) -> None:
        bins = {len(one.margins) for one in self.models.values()}
        _check(bins <= {len(self.edges) - 1}, "one edge more than counts of margins")


@dataclass(frozen=True)
class MetricChange:
    """A figure against the one that was accepted, over the same examples.

    Attributes:
        accepted: None where nothing was.
        found: None where nothing was measured.
        newly, no_longer: examples that count now and did not, and the other way round; None where no examples count.
        newly_examples: their ids.
        difference: found − accepted, with ``low`` and ``high`` at the confidence of the figures.
        p_value: exact one-sided McNemar test that it grew worse.
        outcome: what became of it.
        reason: in a sentence.
    """

    metric: str
    subject: str
    accepted: Estimate | None
    measured: Estimate | None = field(metadata={"json": "found"})
    newly: int | None
    no_longer: int | None
    newly_examples: tuple[int, ...]
    difference: float | None
    low: float | None
    high: float | None
    p_value: float | None
    outcome: Literal["better", "same", "worse", "undecided", "new", "unused", "refused"]
    reason: str


@dataclass(frozen=True)
class Gate:
    """One comparison in an audit.

    Attributes:
        threshold: a number, or that to which it was compared: another model's estimate, or an accepted one.
        next_step: what to do about it, in a sentence, and ``command`` that is run next, if it failed.
        path, line: where it stands, relative to the root, from 1; "" and 0 in reports of before this was told.
    """

    name: str
    nodeid: str
    metric: str
    estimate: Estimate | None
    operator: Operator | None
    threshold: Estimate | float | None
    outcome: Literal["pass", "fail", "inconclusive", "error"]
    reason: str
    next_step: str = ""
    command: str = ""
    path: str = ""
    line: int = 0
