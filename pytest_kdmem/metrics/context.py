"""How much context it takes until a model recites: rates by the length of the prefix, and the longest recited run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from pytest_kdmem.base.arrays import ExampleIds, Flags
from pytest_kdmem.base.text import percent
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.metrics.flags import FLAG_COLUMNS, FlagColumn
from pytest_kdmem.metrics.verdict import Verdict
from pytest_kdmem.metrics.window_hits import WindowHits
from pytest_kdmem.scoring.table import ScoreTable


class Windowed(Protocol):
    """What of a memorization the figures are of."""

    @property
    def label(self) -> str: ...
    @property
    def scores(self) -> ScoreTable: ...
    @property
    def confidence(self) -> float: ...
    @property
    def least_share(self) -> float: ...
    @property
    def too_short(self) -> int: ...
    @property
    def set_name(self) -> str: ...
    @property
    def not_shown(self) -> Verdict | None: ...
    @property
    def example_ids(self) -> ExampleIds: ...
    @property
    def window_hits(self) -> WindowHits: ...
    def flags(self, column: FlagColumn) -> Flags: ...
    def rate_of(self, metric: str, flags: Mapping[FlagColumn, Flags], measured: int) -> Estimate: ...


@dataclass(frozen=True, eq=False)
class AtPrefix:
    """What is recited from prefixes of one length.

    Attributes:
        prefix_tokens: The length.
        rate: Number of distinct examples whose next tokens are recited / number of those that are long enough.
        examples: Positions of the former in the training set, each that of its first copy.
    """

    prefix_tokens: int
    rate: Estimate
    examples: list[int]


def rates_at(memorization: Windowed, lengths: Sequence[int]) -> list[AtPrefix]:
    """What is recited from prefixes of each of some lengths, of which `WindowHits.check` approves."""
    hits, ids = memorization.window_hits, memorization.example_ids
    at_lengths = []
    for length, recited in zip(lengths, hits.recited(lengths), strict=True):
        # The verdict itself is of its own length, as it may be another engine's.
        flags = {name: memorization.flags(name) for name in FLAG_COLUMNS} if length == hits.own_prefix else recited
        measured = int(hits.is_measured(length).sum())
        rate = memorization.rate_of(f"memorization rate at prefix {length}", flags, measured)
        share = _share_of_set(memorization, measured)
        if length != hits.own_prefix and share < memorization.least_share:
            rate = replace(rate, not_shown=rate.not_shown or _of_few(share, memorization.least_share))
        at_lengths.append(AtPrefix(length, rate, ids[flags["memorized"]].tolist()))
    return at_lengths


def _of_few(share: float, least: float) -> Verdict:
    """The verdict of comparisons of a rate over so few of a set's examples that it shows nothing of the set.

    Args:
        share: Share of the set's examples that were long enough.
        least: Share that was expected.
    """
    return Verdict(
        "inconclusive",
        basis=(
            f"because only {percent(share)} of the examples hold a suffix after such a prefix, and {percent(least)}"
            " were expected"
        ),
        remedy=(
            "Set a longer --kdmem-window-tokens if the texts are longer, compare a shorter prefix, or lower"
            " --kdmem-min-scored-share."
        ),
    )


def _share_of_set(memorization: Windowed, measured: int) -> float:
    """Share of a set's examples that are long enough, of which some of the distinct ones were measured."""
    record = memorization.scores.record
    long_enough = (record.examples - record.too_short) / record.examples
    return long_enough * measured / max(len(memorization.example_ids), 1)


def longest_run(memorization: Windowed) -> Estimate:
    """The greatest number of tokens that are hit one after another in a window, or in the answer of a conversation.

    Over a sample the longest run of what was not drawn is unknown: it may be as long as the windows are.
    """
    runs, scores = memorization.window_hits.longest_runs, memorization.scores
    value, low, high = (float(runs[name].max(initial=0)) for name in FLAG_COLUMNS)
    n = len(runs["memorized"])
    return Estimate(
        "longest recited run",
        memorization.label,
        value if n else math.nan,
        low,
        high if scores.record.exhaustive else float(scores.extraction.window_tokens),
        k=None,
        n=n,
        ambiguous=int((runs["possible"] != runs["sure"]).sum()),
        exhaustive=scores.record.exhaustive,
        confidence=memorization.confidence,
        unit="tokens",
        too_short=memorization.too_short,
        set_name=memorization.set_name,
        model_digest=scores.checkpoint.digest,
        not_shown=memorization.not_shown,
    )
