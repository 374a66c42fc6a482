"""Further parts name data sets, each once, and draw canaries as their plan says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pytest_kdmem.canaries.plan import CanaryPlan
from pytest_kdmem.distill.recipe import Recipe
from pytest_kdmem.errors import SpecError
from pytest_kdmem.study.further_parts import AbsentPart, CanariesPart, OnPolicyPart, QuestionsPart

ON_POLICY = Recipe("on-policy", 1.5, sampling_temperature=0.5)


@pytest.mark.parametrize("part", [AbsentPart, CanariesPart, QuestionsPart])
@pytest.mark.parametrize("datasets", [(), ("web", "web"), ("web", "books", "web")])
def test_data_sets_are_named_and_each_once(part: Callable[..., Any], datasets: tuple[str, ...]) -> None:
    assert part(("web", "books")).datasets == ("web", "books")
    with pytest.raises(SpecError, match="datasets must name at least one, each once; found"):
        part(datasets)


def test_students_on_policy_have_seeds_on_each_data_set() -> None:
    part = OnPolicyPart({"web": (0, 3), "books": (1,)}, ON_POLICY)
    assert (part.datasets, part.all_seeds) == (("web", "books"), (0, 3, 1))


@pytest.mark.parametrize("seeds", [{}, {"web": ()}, {"web": (0,), "books": (1, 1)}, {"web": (-1,)}])
def test_seeds_that_name_no_student_or_one_twice_are_refused(seeds: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(SpecError, match="seed"):
        OnPolicyPart(seeds, ON_POLICY)


@pytest.mark.parametrize("wrong", [{"share": 0.0}, {"share": 1.0}, {"temperature": 0.0}, {"temperature": 1e4}])
def test_a_share_of_all_or_nothing_leaves_nothing_absent(wrong: dict[str, float]) -> None:
    with pytest.raises(SpecError, match=next(iter(wrong))):
        AbsentPart(("web",), **wrong)


def test_canaries_are_those_of_a_plan_with_the_seed_of_the_study() -> None:
    part = CanariesPart(("web",), copies=(2, 8), count=3, twins=200, prefix_tokens=9, suffix_tokens=10)
    assert part.plan(7) == CanaryPlan(9, 10, (2, 8), 3, 200, 7)
    with pytest.raises(SpecError, match="twins"):
        CanariesPart(("web",), twins=9)
