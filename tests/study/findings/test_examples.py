"""Score tables by document: repeats, lengths, ambiguity, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pytest_kdmem.errors import DataError
from pytest_kdmem.study.findings.examples import Setting, drawn, examples_of, settings
from pytest_kdmem.study.record import Study


def test_an_example_counts_once_however_often_it_stands_in_d(by_hand):
    hand = by_hand([7, 3, 7, 5, 7, 9], too_short=[9])
    run = hand.model("baseline", [7, 5], ambiguous=[3], zlib_bytes={7: 70, 3: 30, 5: 50})
    examples = examples_of(hand.study(run), run)
    assert examples.documents.tolist() == [3, 5, 7]
    assert examples.copies.tolist() == [1, 1, 3]
    assert examples.memorized.tolist() == [False, True, True]
    assert examples.ambiguous.tolist() == [True, False, False]
    assert examples.too_short == 1
    assert examples.column("zlib_bytes").tolist() == [30, 50, 70]


def test_the_order_of_a_table_tells_nothing(by_hand):
    hand = by_hand([4, 2, 4, 1])
    run = hand.model("baseline", [1], zlib_bytes={1: 1, 2: 2, 4: 4})
    study = hand.study(run)
    shuffled = run.scores.take([2, 0, 3, 1])
    object.__setattr__(run, "scores", shuffled)
    examples = examples_of(study, run)
    assert examples.memorized.tolist() == [True, False, False]
    assert examples.column("zlib_bytes").tolist() == [1, 2, 4]


def test_one_copy_recited_is_enough(by_hand):
    hand = by_hand([0, 0, 1])
    run = hand.model("baseline", [0])
    flags = run.scores["memorized"].to_pylist()
    assert flags == [True, True, False]
    table = run.scores.set_column(3, "memorized", [[False, True, False]])
    object.__setattr__(run, "scores", table)
    assert examples_of(hand.study(run), run).memorized.tolist() == [True, False]


def test_scores_of_other_rows_are_refused(by_hand):
    run = by_hand(range(5)).model("baseline")
    with pytest.raises(DataError, match=r"each of the 4 rows of fineweb .* baseline of pythia"):
        examples_of(by_hand(range(4)).study(run), run)


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_a_figure_that_is_not_finite_is_refused(by_hand, wrong):
    hand = by_hand(range(3))
    run = hand.model("soft", entropy={1: wrong})
    with pytest.raises(DataError, match=r"entropy .* the soft of pythia"):
        examples_of(hand.study(run), run).column("entropy")


def test_two_models_of_one_role_and_seed_are_refused(by_hand):
    hand = by_hand(range(3))
    study = hand.study(hand.model("baseline"), hand.model("baseline"))
    with pytest.raises(DataError, match="One baseline per seed"):
        Setting(study, "main", "pythia", "fineweb").of("baseline")


def test_two_teachers_are_refused(by_hand):
    hand = by_hand(range(3))
    study = hand.study(hand.model("teacher"), hand.model("teacher", seed=1), hand.model("baseline"), hand.model("soft"))
    with pytest.raises(DataError, match="One teacher"):
        Setting(study, "main", "pythia", "fineweb").trios()


def test_models_over_other_examples_do_not_compare(by_hand):
    long, short = by_hand(range(4)), by_hand(range(4), too_short=[2])
    study = long.study(long.model("teacher"), long.model("baseline"), short.model("soft"))
    with pytest.raises(DataError, match="same examples"):
        Setting(study, "main", "pythia", "fineweb").trios()


def test_a_seed_needs_all_three_models(by_hand):
    hand = by_hand(range(4))
    runs = [hand.model("teacher"), *(hand.model("baseline", seed=seed) for seed in (0, 2)), hand.model("soft", seed=2)]
    (setting,) = settings(hand.study(*runs), "main", "families")
    assert [trio.seed for trio in setting.trios()] == [2]
    assert [trio.teacher.run.role for trio in setting.trios()] == ["teacher"]


def test_an_empty_study_has_no_settings():
    assert list(settings(Study("nothing", {}, (), {}), "main")) == []


def test_random_examples_are_the_same_for_the_same_seed():
    candidates = np.arange(100) % 2 == 0
    first, again, other_seed = drawn(candidates, 10, 1), drawn(candidates, 10, 1), drawn(candidates, 10, 2)
    assert first.tolist() == again.tolist() != other_seed.tolist()
    assert len(set(first.tolist())) == 10
    assert (first % 2 == 0).all()
    assert drawn(candidates, 1000).tolist() == list(range(0, 100, 2))
    assert drawn(~candidates & candidates, 5).tolist() == []
