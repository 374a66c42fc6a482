"""Plans: parents first, each model once, and of a part all that it needs."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest

from pytest_kdmem.distill.recipe import Recipe
from pytest_kdmem.errors import SpecError
from pytest_kdmem.study.config import PARTS, PrefilterPart
from pytest_kdmem.study.further_parts import FURTHER_PARTS, AbsentPart, CanariesPart, OnPolicyPart, QuestionsPart
from pytest_kdmem.study.plan import plan

# All combinations of parts take long to plan; of the further ones two at most stand together.
SOME = [
    parts
    for count in range(len(PARTS) + 1)
    for parts in combinations(PARTS, count)
    if len({*parts} & {*FURTHER_PARTS}) <= (2 if count < 4 else 0)
]


@pytest.fixture(scope="module")
def wide(toy):
    """The toy study with two data sets, three seeds, a third family, and one data set cleaned."""
    datasets = {"web": toy.datasets["web"], "wiki": replace(toy.datasets["web"], text="wiki.txt")}
    families = replace(toy.families, dataset="wiki", families=("olmo2", "qwen3"))
    return replace(
        toy,
        datasets=datasets,
        seeds=(5, 6, 7),
        families=families,
        prefilter=PrefilterPart(("wiki",)),
        canaries=CanariesPart(("wiki",)),
        on_policy=OnPolicyPart({"wiki": (5, 7), "web": (5,)}, Recipe("on-policy", 3.0)),
        absent=AbsentPart(("wiki",), 0.25, 1.0),
        questions=QuestionsPart(("web",)),
    )


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
        assert (step.teacher is not None) == (step.role in ("soft", "hard", "on-policy"))
        if step.teacher is not None:
            teacher = steps[step.teacher]
            assert (teacher.role, teacher.family, teacher.dataset) == ("teacher", step.family, step.dataset)
            by_main = ("temperature", "prefilter", "on_policy", "absent")
            assert teacher.part == ("main" if step.part in by_main else step.part)
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
    assert of("prefilter") == [("pythia", "wiki", "soft", "small")] * 3
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


def test_a_cleaned_data_set_comes_with_all_that_it_takes_and_the_students_before(wide):
    main = ["teacher-large-seed5", "baseline-small-seed5", *(f"soft-small-t2.0-seed{seed}" for seed in (5, 6, 7))]
    assert [step.name for step in plan(wide, ("prefilter",))] == [
        "base/pythia/large",
        "base/pythia/small",
        *(f"main/pythia/wiki/{name}" for name in main),
        *(f"prefilter/pythia/wiki/soft-small-t2.0-seed{seed}" for seed in (5, 6, 7)),
    ]


def test_students_of_cleaned_data_are_those_of_the_main_part_but_for_the_data(wide):
    steps = {step.name: step for step in plan(wide)}
    cleaned = [step for step in steps.values() if step.part == "prefilter"]
    assert [step.recipe.seed for step in cleaned] == [5, 6, 7]
    for step in cleaned:
        before = steps[step.name.replace("prefilter/", "main/", 1)]
        assert replace(step, name=before.name, part="main", cleaned_by=None) == before
        # One cleaned data set for all seeds, by the teacher's and the first baseline's word.
        assert step.cleaned_by == "main/pythia/wiki/baseline-small-seed5"
        assert step.parents == (step.init, step.teacher, step.cleaned_by)
    assert all(step.cleaned_by is None for step in steps.values() if step.part != "prefilter")


def test_on_policy_students_are_those_of_their_seeds_by_the_main_teacher(wide):
    students = [step for step in plan(wide, ("on_policy",)) if step.part == "on_policy"]
    assert [(step.dataset, step.role, step.recipe.seed) for step in students] == [
        ("wiki", "on-policy", 5),
        ("wiki", "on-policy", 7),
        ("web", "on-policy", 5),
    ]
    assert {replace(step.recipe, seed=0) for step in students} == {Recipe("on-policy", 3.0)}
    assert {(step.init, step.share) for step in students} == {("base/pythia/small", 1.0)}


def test_students_of_a_share_of_d_differ_from_those_of_the_main_part_in_share_and_temperature(wide):
    steps = {step.name: step for step in plan(wide, ("absent",))}
    students = [step for step in steps.values() if step.part == "absent"]
    assert [(step.dataset, step.recipe.seed) for step in students] == [("wiki", seed) for seed in (5, 6, 7)]
    for step in students:
        whole = steps[f"main/pythia/wiki/soft-small-t2.0-seed{step.recipe.seed}"]
        recipe = replace(step.recipe, temperature=2.0)
        assert replace(step, name=whole.name, part="main", share=1.0, recipe=recipe) == whole
        assert (step.share, step.recipe.temperature) == (0.25, 1.0)


def test_canaries_change_the_training_text_of_every_role_and_nothing_else(wide):
    steps = [step for step in plan(wide) if step.part == "canaries"]
    beside = {step.name: step for step in plan(wide) if step.part == "main" and step.dataset == "wiki"}
    assert len(steps) == len(beside)
    for step in steps:
        teacher = step.teacher and step.teacher.replace("canaries/", "main/")
        main = replace(step, name=step.name.replace("canaries/", "main/"), part="main", teacher=teacher)
        assert beside[main.name] == main
    assert {step.teacher for step in steps} == {None, "canaries/pythia/wiki/teacher-large-seed5"}


@pytest.mark.parametrize(
    ("part", "datasets"), [("on_policy", {"web", "wiki"}), ("absent", {"wiki"}), ("questions", {"web"})]
)
def test_further_parts_come_with_every_model_of_the_main_part_on_their_data(wide, part, datasets):
    beside = {step.name for step in plan(wide, (part,)) if step.part == "main"}
    main = [step for step in plan(wide, ("main",)) if step.part == "main"]
    assert beside == {step.name for step in main if step.dataset in datasets}


def test_without_a_recipe_of_hard_students_there_are_none(wide):
    recipes = {name: recipe for name, recipe in wide.recipes.items() if name != "hard"}
    everything = plan(wide)
    assert any(step.role == "hard" for step in everything)
    assert plan(replace(wide, recipes=recipes)) == tuple(step for step in everything if step.role != "hard")


def test_the_pilot_rests_on_base_models_alone(wide):
    assert {step.part for step in plan(wide, ("pilot",))} == {"base", "pilot"}


def test_a_part_that_the_study_lacks_is_an_error(wide):
    with pytest.raises(SpecError, match=r"A part of study toy must be one of main, temperature, .*; found 'risk'"):
        plan(wide, ("main", "risk"))
    with pytest.raises(
        SpecError, match=r"must be one of main, temperature, size, families, prefilter, .*; found 'pilot'"
    ):
        plan(replace(wide, pilot=None), ("pilot",))
