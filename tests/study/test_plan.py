"""Plans: parents first, each model once, and of a part all that it needs."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest

from pytest_kdmem.errors import SpecError
from pytest_kdmem.study.config import PARTS
from pytest_kdmem.study.plan import plan

SOME = [parts for count in range(len(PARTS) + 1) for parts in combinations(PARTS, count)]


@pytest.fixture(scope="module")
def wide(toy):
    """The toy study with two data sets, three seeds and a third family."""
    datasets = {"web": toy.datasets["web"], "wiki": replace(toy.datasets["web"], text="wiki.txt")}
    families = replace(toy.families, dataset="wiki", families=("olmo2", "qwen3"))
    return replace(toy, datasets=datasets, seeds=(5, 6, 7), families=families)


@pytest.mark.parametrize("only", SOME, ids="+".join)
def test_parents_come_first_and_no_name_comes_twice(wide, only):
    steps = plan(wide, only)
    done = set()
    for step in steps:
        assert set(step.parents) <= done
        done.add(step.name)
    assert len(done) == len(steps)


@pytest.mark.parametrize("only", SOME[1:], ids="+".join)
def test_parts_by_themselves_are_the_same_steps_in_the_same_order(wide, only):
    everything, some = plan(wide), plan(wide, only)
    assert [step for step in everything if step in some] == list(some)
    for part in only:
        assert {step for step in everything if step.part == part} <= set(some)
    for step in some:
        if step.part not in (*only, "base", "main"):
            raise AssertionError(f"{step.name} was not asked for")


def test_the_main_part_varies_the_order_of_the_data_for_what_is_compared(wide):
    main = [step for step in plan(wide, ("main",)) if step.part == "main"]
    for dataset in ("web", "wiki"):
        seeds = {
            role: [step.recipe.seed for step in main if step.role == role and step.dataset == dataset]
            for role in ("teacher", "baseline", "soft", "hard")
        }
        assert seeds == {"teacher": [5], "baseline": [5, 6, 7], "soft": [5, 6, 7], "hard": [5, 6, 7]}


def test_students_and_baselines_share_start_and_data_and_learn_from_their_own_teacher(wide):
    steps = {step.name: step for step in plan(wide)}
    for step in steps.values():
        if step.role == "base":
            assert not step.parents
            continue
        init = steps[step.init]
        assert (init.role, init.family, init.size, init.shape) == ("base", step.family, step.size, step.shape)
        assert (step.teacher is not None) == (step.role in ("soft", "hard"))
        if step.teacher is not None:
            teacher = steps[step.teacher]
            assert (teacher.role, teacher.family, teacher.dataset) == ("teacher", step.family, step.dataset)
            assert teacher.part == ("main" if step.part == "temperature" else step.part)
            assert (step.size, teacher.size) == ("small", "large")


def test_each_part_holds_what_it_is_about(wide):
    steps = plan(wide)

    def of(part):
        return [(step.family, step.dataset, step.role, step.size) for step in steps if step.part == part]

    assert of("temperature") == [("pythia", "web", "soft", "small")]
    assert [step.recipe.temperature for step in steps if step.part == "temperature"] == [1.0]
    assert of("size") == [("pythia", "web", "baseline", "medium")]
    trio = [("teacher", "large"), ("baseline", "small"), ("soft", "small")]
    assert of("families") == [(family, "wiki", *pair) for family in ("olmo2", "qwen3") for pair in trio]
    assert of("pilot") == [("pythia", "web", *pair) for pair in trio]
    pilot = {step.role: replace(step.recipe, seed=0) for step in steps if step.part == "pilot"}
    assert pilot == wide.pilot.recipes
    assert [step.name for step in steps if step.role == "base"] == [
        "base/pythia/large",
        "base/pythia/small",
        "base/pythia/medium",
        "base/olmo2/large",
        "base/olmo2/small",
        "base/qwen3/large",
        "base/qwen3/small",
    ]


@pytest.mark.parametrize(("part", "dataset"), [("temperature", "web"), ("size", "web"), ("families", "wiki")])
def test_a_part_comes_with_the_main_models_that_it_is_compared_with(wide, part, dataset):
    main = [step for step in plan(wide, (part,)) if step.part == "main"]
    assert [(step.role, step.dataset, step.recipe.seed) for step in main] == [
        ("teacher", dataset, 5),
        ("baseline", dataset, 5),
        ("soft", dataset, 5),
    ]


def test_the_pilot_rests_on_base_models_alone(wide):
    assert {step.part for step in plan(wide, ("pilot",))} == {"base", "pilot"}


def test_a_part_that_the_study_lacks_is_an_error(wide):
    with pytest.raises(SpecError, match=r"A part of study toy must be one of main, temperature, .*; found 'risk'"):
        plan(wide, ("main", "risk"))
    with pytest.raises(SpecError, match="must be one of main, temperature, size, families; found 'pilot'"):
        plan(replace(wide, pilot=None), ("pilot",))
