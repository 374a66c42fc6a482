"""Findings 3, 4, 5, 9 and 10: overlaps of sets that are written out here."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_kdmem.errors import DataError
from pytest_kdmem.study.findings import easy, families, hard, inherited, stability, temperature


def line(lines, figure):
    (matching,) = (each for each in lines if each.figure == figure)
    return matching


def pairs(shares):
    return [(share.k, share.n) for share in shares]


def test_inherited_and_easy(by_hand):
    # T = 0–49, B = 0–9 and 60–64. Seed 0: S = 0–5, 10, 60, 70. Seed 1: S = 0–7.
    hand = by_hand([*range(80), *range(10)])
    b = [*range(10), *range(60, 65)]
    runs = [
        hand.model("teacher", range(50)),
        hand.model("baseline", b),
        hand.model("baseline", b, seed=1),
        hand.model("soft", [*range(6), 10, 60, 70]),
        hand.model("soft", range(8), seed=1),
    ]
    study = hand.study(*runs)
    (result,) = inherited.inherited(study)
    assert pairs(result.of_teacher_only) == [(1, 40), (0, 40)]
    cells = {"teacher": 39, "baseline": 4, "student": 1, "teacher+baseline": 4, "teacher+student": 1}
    assert result.cells[0] == cells | {"baseline+student": 1, "all": 6, "none": 80 - 56}
    lines = inherited.rows((result,))
    ratio = line(lines, "T∩S∖B of T∖B")
    assert ratio.measured.mean == pytest.approx(1 / 80)
    assert (ratio.published, ratio.agreement) == (0.009, "cannot be told at this n")  # 1 of 40 could be a tenth
    assert line(lines, "T∖B").published == 1955

    (result,) = easy.easy(study)
    assert pairs(result.of_student) == [(6, 9), (8, 8)]
    assert result.left_out == (4, 2)
    share = line(easy.rows((result,)), "T∩B∩S of S")
    assert share.measured.mean == pytest.approx((6 / 9 + 1) / 2)
    assert (share.published, share.agreement) == (0.957, "cannot be told at this n")  # 6 of 9 could be half


def test_sets_of_nothing_are_undefined(by_hand):
    hand = by_hand(range(9))
    study = hand.study(hand.model("teacher"), hand.model("baseline"), hand.model("soft"))
    for find, rows, figure in (
        (inherited.inherited, inherited.rows, "T∩S∖B of T∖B"),
        (easy.easy, easy.rows, "T∩B∩S of S"),
    ):
        result = line(rows(find(study)), figure)
        assert (result.measured.mean, result.agreement) == (None, "cannot be told at this n")
        assert pairs(result.counts) == [(0, 0)]


def test_without_a_teacher_nothing_is_run(by_hand):
    hand = by_hand(range(9))
    study = hand.study(hand.model("baseline"), hand.model("soft"))
    for find in (inherited.inherited, easy.easy, hard.soft_against_hard, families.families, temperature.temperature):
        assert find(study) == ()
    assert not stability.stability(study)


def test_stability_over_seeds(by_hand):
    hand = by_hand(range(20))
    baselines, students = [{0, 1, 2, 3}, {0, 1, 2, 4}, {0, 1, 2}], [{0}, {0, 1}, {0, 5}]
    runs = [hand.model("baseline", memorized, seed=seed) for seed, memorized in enumerate(baselines)]
    runs += [hand.model("soft", memorized, seed=seed) for seed, memorized in enumerate(students)]
    (result,) = stability.stability(hand.study(*runs)).over_seeds
    assert (result.baseline_always, result.student_always, result.student_never) == (3, 1, 1)
    assert pairs(result.baseline_pairs) == [(3, 5), (3, 4), (3, 4)]
    assert pairs(result.student_pairs) == [(1, 2), (1, 2), (1, 3)]
    lines = stability.rows(stability.stability(hand.study(*runs)))
    assert line(lines, "memorized by the baselines of all 3 seeds, by no student").published == 494
    two = stability.rows(stability.stability(hand.study(*(run for run in runs if run.seed < 2))))
    assert line(two, "memorized by the baselines of all 2 seeds, by no student").published is None


def test_stability_over_sizes_holds_the_smaller_against_the_larger(by_hand):
    hand = by_hand(range(20))
    main, further_set, teacher = hand.model("baseline", range(8)), range(6, 10), hand.model("teacher", [*range(6), 12])
    for parameters, smaller, held in ((1, "medium", (2, 4)), (5, "small", (2, 8))):
        further = hand.model("baseline", further_set, part="size", size="medium", parameters=parameters)
        result = stability.stability(hand.study(teacher, main, further))
        (sizes,) = result.over_sizes
        assert sizes.smaller == smaller
        assert (sizes.smaller_by_larger.k, sizes.smaller_by_larger.n) == held
        assert (sizes.baseline_by_teacher.k, sizes.baseline_by_teacher.n) == (6, 8)
        assert result.over_seeds == ()
        lines = stability.rows(result)
        assert [each.published for each in lines] == [0.96, 0.80]
    assert stability.stability(hand.study(main, further)).over_sizes[0].baseline_by_teacher is None


def test_families_compare_by_document(by_hand):
    # Documents 0 and 1 stand twice; 2 is too short for the second family alone.
    first, second = by_hand([*range(10), 0, 1]), by_hand([*range(10), 0, 1], too_short=[2])
    zlib = {document: 100 + 10 * document for document in range(10)}
    bent = {document: 50 + document**2 for document in range(10)}
    second_family = {"part": "families", "family": "qwen3"}
    runs = [
        first.model("teacher", [0, 1, 2, 3, 9]),
        first.model("baseline", [0, 1, 9], zlib_bytes=zlib),
        first.model("baseline", [5], seed=1),
        first.model("soft", [0]),
        second.model("teacher", [0, 1, 3, 4], **second_family),
        second.model("baseline", [0, 4], zlib_bytes=bent, **second_family),
        second.model("soft", [1], **second_family),
    ]
    (pair,) = families.families(first.study(*runs))
    assert (pair.first, pair.second, pair.seed, pair.documents) == ("pythia", "qwen3", 0, 9)
    assert {role: (share.k, share.n) for role, share in pair.overlap.items()} == {
        "teacher": (3, 5),
        "baseline": (1, 4),
        "soft": (0, 2),
    }
    assert {role: (share.k, share.n) for role, share in pair.overlap_once.items()} == {
        "teacher": (1, 3),
        "baseline": (0, 2),
        "soft": (0, 0),
    }
    x = np.array([0.0, 1, 3, 4, 5, 6, 7, 8, 9])
    x, y = x - x.mean(), x**2 - (x**2).mean()
    expected = (x * y).sum() / np.sqrt((x**2).sum() * (y**2).sum())
    assert pair.zlib_r == pytest.approx(expected)
    lines = families.rows((pair,))
    assert line(lines, "Pearson r of zlib bytes").agreement == "agrees"
    assert line(lines, "Pearson r of zlib bytes").published == 0.95
    assert line(lines, "documents memorized by both, of those by either, soft").published == 0


def test_families_without_variation_have_no_correlation(by_hand):
    hand = by_hand(range(5))
    roles = ("teacher", "baseline", "soft")
    runs = [hand.model(role) for role in roles]
    runs += [hand.model(role, part="families", family="olmo2") for role in roles]
    (pair,) = families.families(hand.study(*runs))
    assert (pair.zlib_r, pair.zlib_p_value) == (None, None)
    correlation = line(families.rows((pair,)), "Pearson r of zlib bytes")
    assert (correlation.measured.mean, correlation.agreement) == (None, "cannot be told at this n")


def test_temperature(by_hand):
    hand = by_hand(range(40))
    runs = [
        hand.model("soft", range(9)),
        hand.model("soft", range(30), seed=1),  # of no sweep
        hand.model("soft", range(2), part="temperature", temperature=4.0),
        hand.model("soft", range(12), part="temperature", temperature=1.0),
    ]
    (sweep,) = temperature.temperature(hand.study(*runs))
    assert [(point.temperature, point.memorized.k) for point in sweep.points] == [(1.0, 12), (2.0, 9), (4.0, 2)]
    assert sweep.falling
    lines = temperature.rows((sweep,))
    assert line(lines, "memorized, soft, T = 4").agreement == "agrees"
    assert line(lines, "memorized, soft, T = 1").agreement is None
    assert line(lines, "memorized, soft, T = 2").measured.mean == 9 / 40


def test_a_sweep_that_rises_does_not_agree(by_hand):
    hand = by_hand(range(40))
    runs = [hand.model("soft"), hand.model("soft", range(12), part="temperature", temperature=4.0)]
    (sweep,) = temperature.temperature(hand.study(*runs))
    assert not sweep.falling
    assert line(temperature.rows((sweep,)), "memorized, soft, T = 4").agreement == "does not"


def test_a_single_temperature_is_no_sweep(by_hand):
    hand = by_hand(range(4))
    assert temperature.temperature(hand.study(hand.model("soft"))) == ()
    assert temperature.temperature(hand.study(hand.model("soft", part="temperature", temperature=1.0))) == ()


def test_one_temperature_twice_is_refused(by_hand):
    hand = by_hand(range(4))
    study = hand.study(hand.model("soft"), hand.model("soft", part="temperature", temperature=2.0))
    with pytest.raises(DataError, match="One soft student per temperature"):
        temperature.temperature(study)


def test_soft_against_hard(by_hand):
    # T∖B = 10–39. S = 0–7, 10, 11; H = 0–5, 10–19, 50.
    hand = by_hand(range(60))
    runs = [
        hand.model("teacher", range(40)),
        hand.model("baseline", range(10)),
        hand.model("soft", [*range(8), 10, 11]),
        hand.model("hard", [*range(6), *range(10, 20), 50]),
    ]
    (result,) = hard.soft_against_hard(hand.study(*runs))
    (seed,) = result.seeds
    assert pairs([seed.soft, seed.hard]) == [(10, 60), (17, 60)]
    assert pairs([seed.shared, seed.hard_easy]) == [(8, 17), (6, 17)]
    assert pairs([seed.soft_inherited, seed.hard_inherited]) == [(2, 30), (10, 30)]
    assert seed.inherited_quotient == 5.0
    lines = hard.rows((result,))
    # Within T∖B 8 of 8 differ one way (p = 2⁻⁷); over all 9 against 2 do (p = 2 · 67 / 2¹¹ = 0.065).
    assert line(lines, "T∩H∖B of T∖B").agreement == "agrees"
    assert line(lines, "memorized, hard").agreement == "cannot be told at this n"
    assert line(lines, "inherited, hard / soft").published == 2.7


def test_soft_that_inherits_nothing_has_no_quotient(by_hand):
    hand = by_hand(range(60))
    runs = [hand.model("teacher", range(40)), hand.model("baseline"), hand.model("soft"), hand.model("hard", [1])]
    (result,) = hard.soft_against_hard(hand.study(*runs))
    assert result.seeds[0].inherited_quotient is None
    assert result.seeds[0].shared.value == 0
