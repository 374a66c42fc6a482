"""Every family that an audit's tables give figures of is asked, once, in the order of reports."""

from __future__ import annotations

import pkgutil
from dataclasses import replace

from pytest_kdmem.auditing import figures
from pytest_kdmem.auditing.figures.gather import FAMILY_FIGURES, gather_figures
from pytest_kdmem.auditing.schema_figures import FAMILIES
from tests.auditing.figures.test_near_verbatim import NEAR
from tests.auditing.figures.test_specific import SPECIFIC
from tests.auditing.test_build_result import EMPTY, SCORED


def test_each_module_of_figures_is_asked_once() -> None:
    modules = {module.name for module in pkgutil.iter_modules(figures.__path__)} - {"gather", "strata"}
    asked = [function.__module__.rpartition(".")[2] for function in FAMILY_FIGURES]
    assert sorted(asked) == sorted(modules)


def test_figures_stand_in_the_order_of_the_families() -> None:
    gathered = gather_figures(replace(SCORED, near_verbatim=(NEAR,), specific=(SPECIFIC,)))
    places = [FAMILIES.index(figure.family) for figure in gathered]
    assert places == sorted(places)
    assert {"near_verbatim", "specific"} <= {figure.family for figure in gathered}
    assert len({figure.key for figure in gathered}) == len(gathered)


def test_an_audit_that_scored_nothing_has_no_figures() -> None:
    assert gather_figures(EMPTY) == ()
