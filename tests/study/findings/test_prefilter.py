"""Finding 7: what a student of the cleaned set still memorizes."""

from __future__ import annotations

import json

import pytest

from pytest_kdmem.errors import DataError
from pytest_kdmem.study.findings import prefilter
from pytest_kdmem.study.findings.figures import Share
from pytest_kdmem.study.report import plain
from tests.study.studies_by_hand import line


def as_json(result):
    return json.loads(json.dumps(plain(result), allow_nan=False))


def test_the_fall_and_what_is_new(by_hand):
    # S = 0–9 before and 8, 9, 30 after; 0 and 1 stand in D five times, and 0–7 and 20 are left out with all copies.
    hand = by_hand([*range(40), *([0, 1] * 4)])
    before = hand.model("soft", range(10), loss=2.0)
    after = hand.cleaned(hand.model("soft", [8, 9, 30], loss=2.5), [*range(8), 20])
    study = hand.study(before, after)
    (loop,) = prefilter.prefilter(study)
    assert (loop.family, loop.dataset, loop.seed) == ("pythia", "fineweb", 0)
    assert (loop.left_out, loop.left_out_rows) == (Share(9, 40), Share(9 + 8, 48))
    assert (loop.before, loop.after) == (Share(10, 40), Share(3, 40))
    assert (loop.kept, loop.new) == (2, 1)
    assert (loop.fall, loop.price) == (pytest.approx(0.7), pytest.approx(0.25))
    lines = prefilter.rows((loop,))
    fall = line(lines, "fall")
    assert (fall.measured.values, fall.unit) == ((pytest.approx(0.7),), "percent")
    assert fall.published == pytest.approx(1 - 4 / 1698)
    assert fall.agreement == "agrees"  # 8 of 9 that differ are of before: p = 2 · 10 / 2⁹ = 0.039
    assert line(lines, "left out, of rows").counts == (Share(17, 48),)
    assert line(lines, "newly memorized").measured.values == (1,)
    assert line(lines, "held-out loss, change").measured.values == (pytest.approx(0.25),)
    assert as_json((loop,))[0]["left_out"] == {"k": 9, "n": 40, "value": 9 / 40}
    assert len(as_json(lines)) == len(lines)


def test_the_fall_of_nothing_is_undefined(by_hand):
    hand = by_hand(range(40))
    (loop,) = prefilter.prefilter(hand.study(hand.model("soft"), hand.cleaned(hand.model("soft", [3]), range(2))))
    assert (loop.before.k, loop.fall, loop.kept, loop.new) == (0, None, 0, 1)
    fall = line(prefilter.rows((loop,)), "fall")
    assert (fall.measured.mean, fall.agreement) == (None, "cannot be told at this n")
    as_json(prefilter.rows((loop,)))


def test_a_rise_does_not_agree(by_hand):
    hand = by_hand(range(40))
    runs = hand.model("soft", range(3)), hand.cleaned(hand.model("soft", range(20)), [39])
    (loop,) = prefilter.prefilter(hand.study(*runs))
    assert loop.fall < 0
    assert line(prefilter.rows((loop,)), "fall").agreement == "does not"


def test_each_seed_is_beside_its_own(by_hand):
    hand = by_hand(range(40))
    runs = [hand.model("soft", range(10 * (1 + seed)), seed=seed) for seed in (0, 1)]
    runs += [hand.model("soft", range(30), seed=0, dataset="wiki"), hand.model("hard", range(35))]
    runs += [hand.cleaned(hand.model("soft", range(5), seed=seed), range(10)) for seed in (0, 1)]
    loops = prefilter.prefilter(hand.study(*runs))
    assert [(loop.before.k, loop.after.k) for loop in loops] == [(10, 5), (20, 5)]
    assert line(prefilter.rows(loops), "fall").measured.values == (0.5, 0.75)


def test_left_out_examples_are_counted_among_those_long_enough(by_hand):
    # 4 and 5 are too short to be scored, and near-duplicates of 0.
    hand = by_hand([0, 1, 2, 3, 4, 5, 0], too_short=[4, 5])
    (loop,) = prefilter.prefilter(hand.study(hand.model("soft"), hand.cleaned(hand.model("soft"), [0, 4, 5])))
    assert (loop.left_out, loop.left_out_rows) == (Share(1, 4), Share(4, 7))


def test_where_nothing_was_left_out_nothing_is_counted(by_hand):
    hand = by_hand(range(4))
    (loop,) = prefilter.prefilter(hand.study(hand.model("soft"), hand.cleaned(hand.model("soft"), [])))
    assert (loop.left_out, loop.left_out_rows) == (Share(0, 4), Share(0, 4))


def test_without_a_student_before_there_is_no_loop(by_hand):
    hand = by_hand(range(4))
    after = hand.cleaned(hand.model("soft"), [0])
    assert prefilter.prefilter(hand.study(hand.model("soft", seed=1), after)) == ()
    assert prefilter.rows(()) == ()
    with pytest.raises(DataError, match="holds 2"):
        prefilter.prefilter(hand.study(hand.model("soft"), hand.model("soft"), after))
