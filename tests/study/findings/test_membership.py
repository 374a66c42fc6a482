"""What attacks tell of models whose scores are written by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pytest_kdmem.study.findings import membership as finding
from tests.study.findings.asked_by_hand import answers, membership, study_of
from tests.study.studies_by_hand import line

RANDOM = np.random.default_rng(0)
CONTROLS = RANDOM.normal(size=1000)
CHANCE = RANDOM.normal(size=400)


def loss(members: np.ndarray, controls: np.ndarray = CONTROLS) -> object:
    return membership({"loss": (members, controls)})


@pytest.fixture(scope="module")
def lines(by_hand):
    study = study_of(
        by_hand,
        ("teacher", 0, answers(membership=loss(CHANCE + 5))),
        ("baseline", 0, answers(membership=loss(CHANCE + 3))),
        ("soft", 0, answers(membership=loss(CHANCE * 1.01, CONTROLS * 1.01))),
        ("hard", 0, answers(membership=loss(CHANCE + 6))),
    )
    return finding.rows(finding.membership(study))


def test_areas_and_rates_are_those_of_the_scores(lines):
    labels = np.repeat([1, 0], [400, 1000])
    expected = roc_auc_score(labels, np.concatenate([CHANCE + 3, CONTROLS]))
    assert line(lines, "AUC by loss, baseline").measured.mean == pytest.approx(expected)
    threshold = np.sort(CONTROLS)[-11]  # ten of the controls are above it
    expected = float((threshold < CHANCE + 3).mean())
    assert line(lines, "TPR at 1% FPR by loss, baseline").measured.mean == expected
    assert line(lines, "members").measured.values == (400,)
    assert line(lines, "controls").measured.values == (1000,)


def test_students_vote_by_pairs_and_others_not_at_all(lines):
    for figure in ("AUC by loss", "TPR at 1% FPR by loss"):
        assert line(lines, f"{figure}, soft").agreement == "agrees"
        assert line(lines, f"{figure}, hard").agreement == "does not"
        assert line(lines, f"{figure}, teacher").agreement is None


def test_a_model_is_not_shown_to_be_less_than_itself(by_hand):
    one = loss(CHANCE + 3)
    study = study_of(by_hand, ("baseline", 0, answers(membership=one)), ("soft", 0, answers(membership=one)))
    lines = finding.rows(finding.membership(study))
    assert line(lines, "AUC by loss, soft").agreement == "cannot be told at this n"
    assert line(lines, "TPR at 1% FPR by loss, soft").agreement == "cannot be told at this n"


def test_too_few_controls_give_an_area_and_no_rate(by_hand):
    study = study_of(by_hand, ("teacher", 0, answers(membership=loss(CHANCE, CONTROLS[:99]))))
    lines = finding.rows(finding.membership(study))
    assert line(lines, "TPR at 1% FPR by loss, teacher").measured.values == (None,)
    assert line(lines, "AUC by loss, teacher").measured.mean is not None


def test_what_is_refused_has_its_reason_and_no_figure(by_hand):
    models = [(role, 0, answers(refusal="told apart without a model")) for role in ("teacher", "baseline")]
    (result,) = finding.membership(study_of(by_hand, *models))
    assert result.refusals == ("told apart without a model",)
    lines = finding.rows((result,))
    assert [each.figure for each in lines] == ["members", "controls", "refused: told apart without a model"]


def test_an_attack_that_some_model_lacks_has_no_row_of_its_role(by_hand):
    both = membership({"loss": (CHANCE, CONTROLS), "zlib": (CHANCE, CONTROLS)})
    study = study_of(
        by_hand, ("teacher", 0, answers(membership=both)), ("baseline", 0, answers(membership=loss(CHANCE)))
    )
    figures = [each.figure for each in finding.rows(finding.membership(study))]
    assert "AUC by loss per zlib byte, teacher" in figures
    assert "AUC by loss per zlib byte, baseline" not in figures
