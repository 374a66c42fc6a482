"""Finding 4: the same examples over seeds and sizes."""

from __future__ import annotations

from pytest_kdmem.study.findings import stability
from tests.study.studies_by_hand import line, pairs


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
