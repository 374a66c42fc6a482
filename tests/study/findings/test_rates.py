"""Findings 1 and 2: rates, reductions and losses."""

from __future__ import annotations

import math

import pytest

from pytest_kdmem.errors import DataError
from pytest_kdmem.study.findings.rates import rates, rows
from tests.study.studies_by_hand import line


def test_rates_by_hand(by_hand):
    # 50 documents, two too short: of 48, T has 20, B 12, S 2, 3 and 4, all nested.
    hand = by_hand([*range(50), 0, 0, 49], too_short=[48, 49])
    runs = [hand.model("teacher", range(20), ambiguous=[3, 30])]
    for seed, (count, loss) in enumerate([(2, 2.4), (3, 2.3), (4, 2.6)]):
        runs += [hand.model("baseline", range(12), seed=seed), hand.model("soft", range(count), seed=seed, loss=loss)]
    (result,) = rates(hand.study(*runs))
    soft = result.role("soft")
    assert [(share.k, share.n) for share in soft.memorized] == [(2, 48), (3, 48), (4, 48)]
    assert (soft.seeds, soft.too_short, result.role("teacher").ambiguous) == ((0, 1, 2), (2, 2, 2), (2,))
    assert result.role("hard") is None
    compared = result.compared("soft")
    assert [each.reduction for each in compared] == [6.0, 4.0, 3.0]
    assert [each.p_value for each in compared] == pytest.approx([0.5**9, 0.5**8, 0.5**7])
    assert [(each.only_baseline, each.only_student) for each in compared] == [(10, 0), (9, 0), (8, 0)]
    assert [each.verdict for each in compared] == ["yes", "yes", "no"]
    lines = rows((result,))
    rate = line(lines, "memorized, soft")
    assert (rate.measured.mean, rate.measured.deviation) == pytest.approx((3 / 48, 1 / 48))
    assert (rate.published, rate.agreement) == (0.0007, "agrees")
    assert line(lines, "memorized, teacher").agreement == "agrees"
    assert line(lines, "baseline / soft").measured.mean == pytest.approx(13 / 3)
    assert line(lines, "too short, left out of all").measured.values == (2,)
    assert line(lines, "within numerical tolerance, teacher").measured.values == (2,)
    loss = line(lines, "held-out loss, soft")
    assert loss.measured.mean == pytest.approx(7.3 / 3)
    assert loss.agreement == "cannot be told at this n"  # two seeds better, one worse
    assert line(lines, "held-out perplexity, soft").measured.values == pytest.approx(
        (math.e**2.4, math.e**2.3, math.e**2.6)
    )
    assert line(lines, "seeds whose soft student does").counts[0].k == 2


def test_a_student_that_recites_more_does_not_agree(by_hand):
    hand = by_hand(range(30))
    runs = [hand.model("teacher", range(10)), hand.model("baseline", range(2)), hand.model("soft", range(12))]
    (result,) = rates(hand.study(*runs))
    assert result.compared("soft")[0].verdict == "no"
    assert line(rows((result,)), "memorized, soft").agreement == "does not"
    assert line(rows((result,)), "memorized, teacher").agreement == "agrees"


def test_a_student_that_recites_nothing_has_no_quotient_and_yet_recites_less(by_hand):
    hand = by_hand(range(30))
    runs = [hand.model("teacher", range(10)), hand.model("baseline", range(6)), hand.model("soft")]
    (result,) = rates(hand.study(*runs))
    assert result.compared("soft")[0].reduction is None
    lines = rows((result,))
    assert line(lines, "baseline / soft").measured.mean is None
    assert line(lines, "memorized, soft").agreement == "agrees"
    assert line(lines, "held-out loss, soft").agreement == "cannot be told at this n"  # of one seed


def test_too_few_differences_decide_nothing(by_hand):
    hand = by_hand(range(30))
    runs = [hand.model("teacher", range(5)), hand.model("baseline", range(5)), hand.model("soft")]
    (result,) = rates(hand.study(*runs))
    assert result.compared("soft")[0].verdict == "undecided"
    assert line(rows((result,)), "memorized, soft").agreement == "cannot be told at this n"


def test_a_study_that_stopped_early_shows_what_it_has(by_hand):
    hand = by_hand(range(30))
    (result,) = rates(hand.study(hand.model("teacher", range(3))))
    assert result.comparisons == ()
    assert line(rows((result,)), "memorized, teacher").measured.values == (0.1,)
    assert rates(hand.study()) == ()


def test_every_example_too_short(by_hand):
    hand = by_hand(range(3), too_short=range(3))
    (result,) = rates(hand.study(hand.model("teacher"), hand.model("baseline"), hand.model("soft")))
    assert result.role("teacher").memorized[0].value is None
    assert line(rows((result,)), "memorized, teacher").measured.mean is None
    assert line(rows((result,)), "memorized, teacher").agreement == "cannot be told at this n"


def test_a_loss_that_is_not_finite_is_refused(by_hand):
    hand = by_hand(range(3))
    with pytest.raises(DataError, match="nan"):
        rates(hand.study(hand.model("teacher", loss=math.nan)))


def test_settings_without_a_counterpart_have_no_published_figure(by_hand):
    hand = by_hand(range(3))
    result = rates(hand.study(hand.model("teacher", dataset="poems")))
    assert {each.published for each in rows(result)} == {None}
