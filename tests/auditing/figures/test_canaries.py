"""Reports have what models show of canaries by the number of copies, and never their text."""

from __future__ import annotations

from dataclasses import replace

from pytest_kdmem.auditing.figures.canaries import canary_figures
from tests.auditing.test_build_result import EMPTY, build
from tests.canaries.canary_scores import scores_of


def test_each_number_of_copies_has_three_figures_and_the_manifest_is_told_once() -> None:
    measured = scores_of(4, 511, shift={1: 0.0, 16: 5.0})
    figures = canary_figures(replace(EMPTY, canaries=(measured,)))
    assert [figure.label for figure in figures] == [
        *("exposure, 1 copy", "TPR at 1% FPR, 1 copy", "recited, 1 copy"),
        *("exposure, 16 copies", "TPR at 1% FPR, 16 copies", "recited, 16 copies"),
    ]
    assert [bool(figure.note) for figure in figures] == [True, *[False] * 5]
    assert "511 twins" in figures[0].note
    assert figures[0].note.endswith("manifest manifest")
    assert [figure.key for figure in build(replace(EMPTY, canaries=(measured,))).figures] == [
        figure.key for figure in figures
    ]


def test_several_manifests_are_told_apart() -> None:
    first = scores_of(4, 100, shift={1: 0.0})
    figures = canary_figures(replace(EMPTY, canaries=(first, replace(first, manifest="another one"))))
    assert len({figure.key for figure in figures}) == len(figures) == 6
    assert figures[-1].label == "recited, 1 copy, manifest another "


def test_many_twins_allow_a_rate_of_one_in_a_thousand() -> None:
    figures = canary_figures(replace(EMPTY, canaries=(scores_of(4, 1000, shift={1: 0.0}),)))
    assert "TPR at 0.1% FPR, 1 copy" in [figure.label for figure in figures]
    assert canary_figures(EMPTY) == ()
