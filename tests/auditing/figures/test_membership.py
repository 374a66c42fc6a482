"""Reports have area and rates of membership by the strongest attack and by each."""

from __future__ import annotations

from dataclasses import replace

from pytest_kdmem.auditing.figures.membership import membership_figures
from pytest_kdmem.auditing.memberships import Against, MeasuredMembership
from pytest_kdmem.corpus.blind_classifier import BlindTest
from tests.auditing.test_build_result import EMPTY, build
from tests.metrics.test_membership import measured

BLIND = BlindTest(0.512, 0.34, 400)


def test_each_attack_has_an_area_and_the_rates_that_the_controls_allow() -> None:
    membership = MeasuredMembership(measured(0.5), BLIND)
    figures = membership_figures(replace(EMPTY, memberships=(membership, membership)))
    labels = [figure.label for figure in figures]
    assert labels[:2] == ["AUC, strongest attack", "TPR at 1% FPR, strongest attack"]
    assert "AUC, loss per zlib byte" in labels
    assert len(set(labels)) == len(labels) == 2 * (1 + len(membership.membership.attacks))
    assert figures[0].note == (
        "400 members against 500 controls, which a classifier that sees no model tells apart with an AUC of 0.512 (p ="
        " 0.340)"
    )
    assert [figure.label for figure in build(replace(EMPTY, memberships=(membership,))).figures] == labels


def test_many_controls_allow_a_rate_of_one_in_a_thousand_and_one_attack_is_named_once() -> None:
    membership = MeasuredMembership(measured(0.5, controls=1_000, attack="loss"), BLIND)
    figures = membership_figures(replace(EMPTY, memberships=(membership,)))
    assert [figure.label for figure in figures] == ["AUC, loss", "TPR at 1% FPR, loss", "TPR at 0.1% FPR, loss"]
    assert [bool(figure.note) for figure in figures] == [True, False, False]


def test_rows_name_their_control_set_and_reference_where_there_are_several() -> None:
    low, high = measured(0.1, attack="loss"), measured(0.9, attack="loss")
    first, second = Against("first.npy"), Against("second.npy (seed 3)")
    asked = [(low, first), (high, second), (high, replace(second, reference="base"))]
    memberships = tuple(MeasuredMembership(membership, BLIND, against) for membership, against in asked)
    figures = membership_figures(replace(EMPTY, memberships=memberships))
    areas = {figure.label: figure.estimate.value for figure in figures if figure.label.startswith("AUC")}
    assert areas == {
        "AUC, loss, controls first.npy": low.auc.value, "AUC, loss, controls second.npy (seed 3)": high.auc.value,
    }  # fmt: skip
    references = (memberships[2], MeasuredMembership(low, BLIND, Against("second.npy (seed 3)", "other")))
    labels = {figure.label for figure in membership_figures(replace(EMPTY, memberships=references))}
    assert {"AUC, loss, reference base", "AUC, loss, reference other"} <= labels


def test_an_audit_without_membership_has_none() -> None:
    assert membership_figures(EMPTY) == ()
