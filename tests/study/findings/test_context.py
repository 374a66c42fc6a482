"""Rates by prefix length, and longest runs."""

from __future__ import annotations

import numpy as np

from pytest_kdmem.study.findings import context
from tests.study.findings.asked_by_hand import N, answers, study_of
from tests.study.studies_by_hand import line, pairs


def test_rates_are_over_what_is_long_enough_and_rise_where_the_same_examples_tell(by_hand):
    # Of the 20 examples that are long enough for 75 tokens, 8 are recited from there alone and one from 25 alone.
    teacher = {25: ([0, 30, 31, 32], range(N)), 75: (range(1, 9), range(20))}
    baseline = {25: (range(6), range(N)), 75: (range(6), range(20))}
    student = {25: ([], range(N)), 75: ([], range(20))}
    runs = {"longest_runs": np.arange(N, dtype=np.int32)}
    study = study_of(
        by_hand,
        ("teacher", 0, answers(at_prefix=teacher, **runs)),
        ("baseline", 0, answers(at_prefix=baseline)),
        ("soft", 0, answers(at_prefix=student)),
    )
    (result,) = context.context(study)
    lines = context.rows((result,))
    assert pairs(line(lines, "recited from 25 tokens, teacher").counts) == [(4, 40)]
    assert pairs(line(lines, "recited from 75 tokens, teacher").counts) == [(8, 20)]
    # 8 against 1 of those measured at both: p = 2 · 10 / 2⁹ = 0.039.
    rising = line(lines, "recited from 75 tokens, teacher")
    assert (rising.claim, rising.agreement) == ("more than from 25 tokens", "agrees")
    assert line(lines, "recited from 75 tokens, baseline").agreement == "cannot be told at this n"
    assert line(lines, "recited from 75 tokens, soft").claim == "less than the baseline"
    assert line(lines, "recited from 75 tokens, soft").agreement == "agrees"
    assert line(lines, "longest run, teacher").measured.values == (39,)
    assert line(lines, "longest run, soft").measured.values == (0,)


def test_nothing_is_asked_of_a_study_without_answers(by_hand):
    hand = by_hand(range(3))
    assert context.context(hand.study(hand.model("teacher"))) == ()
