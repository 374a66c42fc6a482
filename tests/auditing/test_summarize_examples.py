"""Single examples are listed if a model recites or may recite them; distributions count all of them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from pytest_kdmem.auditing.summarize_examples import MARGIN_EDGES, distributions_entry, examples_entry
from pytest_kdmem.corpus.groups import Groups
from pytest_kdmem.metrics.memorization import Memorization
from tests.metrics.score_tables import memorization_from, row

METRICS = {"nll": 1.5, "logprob": -75.0, "zlib_bytes": 90}


def memorization_of(recited: str, ambiguous: str = "", *, exhaustive: bool = True) -> Memorization:
    """Of the examples a to f, b has three copies."""
    rows = [
        row(digest, memorized=digest in recited, ambiguous=digest in ambiguous, **METRICS)  # type: ignore[arg-type]
        for digest in "abbbcdef"
    ]
    return memorization_from(rows, exhaustive=exhaustive)


def test_examples_that_any_model_recites_or_may_recite_are_listed_once() -> None:
    entry = examples_entry({"teacher": memorization_of("ab"), "student": memorization_of("b", ambiguous="d")})
    assert entry is not None
    assert entry.example_id == (0, 1, 5)
    assert entry.digest == ("a", "b", "d")
    assert entry.copies == (1, 3, 1)
    assert entry.models["teacher"].memorized == (1, 1, 0)
    assert entry.models["student"].memorized == (0, 1, 0)
    assert entry.models["student"].ambiguous == (0, 0, 1)
    assert entry.models["teacher"].perplexity == (4.482,) * 3  # e^1.5 to four digits
    assert entry.risk == (None, None, None)
    assert entry.prefix == ()


def test_groups_of_all_copies_of_an_example_are_listed() -> None:
    groups = Groups("customer", ("x", "y", "z"), np.array([0, 1, 0, 1, 2, 2, 0, 0], np.int32))
    entry = examples_entry({"student": replace(memorization_of("bd"), groups=groups)})
    assert entry is not None
    assert entry.digest == ("b", "d")
    assert entry.groups == (("x", "y"), ("z",))
    without = examples_entry({"student": memorization_of("bd")})
    assert without is not None
    assert without.groups == ()


def test_metrics_that_were_not_scored_are_none() -> None:
    only_verdicts = memorization_from([row("a", memorized=True)])
    entry = examples_entry({"student": only_verdicts})
    assert entry is not None
    columns = entry.models["student"]
    assert (columns.margin, columns.perplexity, columns.logprob) == ((1.0,), (None,), (None,))
    assert entry.zlib_bytes == (None,)


def test_without_a_model_there_is_no_entry() -> None:
    assert examples_entry({}) is None
    assert distributions_entry({}) is None


def test_margins_are_counted_and_the_outer_bins_hold_all_beyond() -> None:
    margins = [-40.0, -16.5, -0.5, 0.0, 0.5, 99.0, math.nan]
    rows = [{**row(str(index)), "margin": margin} for index, margin in enumerate(margins)]
    entry = distributions_entry({"student": memorization_from(rows)})
    assert entry is not None
    student = entry.models["student"]
    expected, _ = np.histogram(np.clip(margins[:-1], -15.5, 15.5), MARGIN_EDGES)
    assert student.margins == tuple(expected)
    assert student.without_margin == 1


@pytest.mark.parametrize("exhaustive", [True, False])
def test_repetition_is_counted_by_doublings_of_the_copies_over_a_whole_set(exhaustive: bool) -> None:
    rows = [row(digest, memorized=digest in "bz") for digest in "a" + "b" * 2 + "c" * 3 + "z" * 9]
    entry = distributions_entry({"student": memorization_from(rows, exhaustive=exhaustive)})
    assert entry is not None
    bins = [(each.least, each.most, each.memorized, each.n) for each in entry.models["student"].repetition]
    assert bins == ([(1, 1, 0, 1), (2, 2, 1, 1), (3, 4, 0, 1), (9, 16, 1, 1)] if exhaustive else [])


def test_drawn_examples_are_those_that_the_model_does_not_recite() -> None:
    rows = [{**row(str(index), memorized=index < 3), "nll": float(index), "zlib_bytes": index} for index in range(9)]
    entry = distributions_entry({"student": memorization_from(rows)})
    assert entry is not None
    assert entry.models["student"].zlib_bytes == tuple(range(3, 9))
    assert entry.models["student"].perplexity == pytest.approx(np.exp(np.arange(3.0, 9.0)), rel=1e-3)
