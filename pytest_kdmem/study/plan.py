"""A study → the models to train, in an order in which parents come first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from pytest_kdmem.distill.recipe import Recipe
from pytest_kdmem.distill.shapes import Family, Size
from pytest_kdmem.specs.checks import choice, require
from pytest_kdmem.study.config import StudyConfig
from pytest_kdmem.study.further_parts import FURTHER_PARTS
from pytest_kdmem.study.record import Role

# Their findings set the part's models beside those of the main part, on the same data.
COMPARED_WITH_MAIN = ("temperature", "size", "families")
TRIO: tuple[Role, ...] = ("teacher", "baseline", "soft")


@dataclass(frozen=True)
class Step:
    """One model to train.

    Args:
        name: unique name of the step.
        part: part that needs it; ``base`` for base models, which the parts share.
        family: architecture and tokenizer.
        role: ``base`` is pre-trained from random weights; models of the other roles are scored and recorded.
        size: the name of its shape.
        shape: layers, width, heads.
        recipe: with its seed.
        dataset: data set it is trained on; None for the pre-training text.
        init: step whose model it starts from; None for random weights.
        teacher: step whose model a student learns from.
        cleaned_by: step of the baseline that, with the teacher, predicts which examples are left out of the data set;
            None to leave out nothing.
        share: share of the distinct examples of the data set that it is trained on.
    """

    name: str
    part: str
    family: Family
    role: Role | Literal["base"]
    size: str
    shape: Size
    recipe: Recipe
    dataset: str | None = None
    init: str | None = None
    teacher: str | None = None
    cleaned_by: str | None = None
    share: float = 1.0

    @property
    def parents(self) -> tuple[str, ...]:
        """The steps whose models it needs."""
        return tuple(name for name in (self.init, self.teacher, self.cleaned_by) if name is not None)


def plan(config: StudyConfig, only: tuple[str, ...] = ()) -> tuple[Step, ...]:
    """The steps of a study, or of some of its parts with the steps they are made of or compared with.

    Raises:
        SpecError: a part that the study does not have.
    """
    for part in only:
        require(f"A part of study {config.name}", part, choice(*config.parts))
    asked = only or config.parts
    steps = {step.name: step for step in _all(config)}
    wanted = {step.name for step in steps.values() if step.part in asked}
    for part in COMPARED_WITH_MAIN:
        if part in asked:
            main = _Maker.of(config, "main")
            wanted.update(main.tuned(role, getattr(config, part).dataset).name for role in TRIO)
    if "prefilter" in asked and config.prefilter is not None:
        main = _Maker.of(config, "main")
        before = (main.tuned("soft", name, seed=seed) for name in config.prefilter.datasets for seed in config.seeds)
        wanted.update(step.name for step in before)
    beside_main = {name for part in FURTHER_PARTS if part in asked for name in config.datasets_of(part)}
    wanted.update(step.name for step in steps.values() if step.part == "main" and step.dataset in beside_main)
    for step in reversed(steps.values()):  # parents stand before their steps
        if step.name in wanted:
            wanted.update(step.parents)
    return tuple(step for step in steps.values() if step.name in wanted)


@dataclass(frozen=True)
class _Maker:
    """Makes the steps of one part and family."""

    config: StudyConfig
    part: str
    family: Family
    sizes: Mapping[str, Size]
    recipes: Mapping[str, Recipe]

    @staticmethod
    def of(config: StudyConfig, part: str) -> _Maker:
        return _Maker(config, part, config.family, config.sizes, config.recipes)

    def base(self, size: str) -> Step:
        """A base model. All except the large one are pre-trained with the small one's recipe."""
        recipe = self.config.recipes["base-large" if size == "large" else "base-small"]
        recipe = replace(recipe, seed=self.config.seeds[0])
        return Step(f"base/{self.family}/{size}", "base", self.family, "base", size, self.sizes[size], recipe)

    def tuned(
        self,
        role: Role,
        dataset: str,
        *,
        size: str | None = None,
        seed: int | None = None,
        temperature: float | None = None,
    ) -> Step:
        """A model trained on a data set; students learn from the part's own teacher."""
        size = size or ("large" if role == "teacher" else "small")
        recipe = replace(self.recipes[role], seed=self.config.seeds[0] if seed is None else seed)
        name = f"{self.part}/{self.family}/{dataset}/{role}-{size}"
        if role == "soft":
            recipe = replace(recipe, temperature=recipe.temperature if temperature is None else temperature)
            name += f"-t{recipe.temperature!r}"
        return Step(
            name=f"{name}-seed{recipe.seed}",
            part=self.part,
            family=self.family,
            role=role,
            size=size,
            shape=self.sizes[size],
            recipe=recipe,
            dataset=dataset,
            init=self.base(size).name,
            teacher=self.tuned("teacher", dataset).name if recipe.needs_teacher else None,
        )

    def trio(self, dataset: str) -> Iterator[Step]:
        yield from (self.tuned(role, dataset) for role in TRIO)


def _all(config: StudyConfig) -> Iterator[Step]:
    """Every step, parents first."""
    main = _Maker.of(config, "main")
    yield from (main.base("large"), main.base("small"))
    for dataset in config.datasets:
        yield from _compared(main, dataset)
    if config.temperature is not None:
        yield from _temperature(config, config.temperature.dataset, config.temperature.values)
    if config.size is not None:
        further = replace(main, part="size")
        yield further.base(config.size.size)
        yield further.tuned("baseline", config.size.dataset, size=config.size.size)
    if config.families is not None:
        for family in config.families.families:
            own = replace(main, part="families", family=family, sizes=config.families.sizes)
            yield from (own.base("large"), own.base("small"))
            yield from own.trio(config.families.dataset)
    if config.pilot is not None:
        yield from replace(main, part="pilot", recipes=config.pilot.recipes).trio(config.pilot.dataset)
    if config.prefilter is not None:
        for dataset in config.prefilter.datasets:
            yield from _prefilter(config, dataset)
    if config.canaries is not None:
        own = replace(main, part="canaries")
        for dataset in config.canaries.datasets:
            yield from _compared(own, dataset)
    if config.on_policy is not None:
        recipes = {**config.recipes, "on-policy": config.on_policy.recipe}
        own = replace(main, part="on_policy", recipes=recipes)
        for dataset, seeds in config.on_policy.seeds.items():
            for seed in seeds:
                yield replace(own.tuned("on-policy", dataset, seed=seed), teacher=main.tuned("teacher", dataset).name)
    if config.absent is not None:
        for dataset in config.absent.datasets:
            yield from _absent(config, dataset)


def _compared(maker: _Maker, dataset: str) -> Iterator[Step]:
    """One teacher, and what is compared with it, of which the order of the data varies."""
    yield maker.tuned("teacher", dataset)
    compared: tuple[Role, ...] = ("baseline", "soft", "hard")
    for seed in maker.config.seeds:
        yield from (maker.tuned(role, dataset, seed=seed) for role in compared if role in maker.recipes)


def _temperature(config: StudyConfig, dataset: str, values: tuple[float, ...]) -> Iterator[Step]:
    """Soft students of the main part's teacher; the main part itself holds the one at its own temperature."""
    main = _Maker.of(config, "main")
    teacher = main.tuned("teacher", dataset).name
    for value in values:
        if value != config.recipes["soft"].temperature:
            student = replace(main, part="temperature").tuned("soft", dataset, temperature=float(value))
            yield replace(student, teacher=teacher)


def _absent(config: StudyConfig, dataset: str) -> Iterator[Step]:
    """Soft students by the main part's teacher, on a share of the data set."""
    main = _Maker.of(config, "main")
    assert config.absent is not None
    temperature, share = config.absent.temperature, config.absent.share
    for seed in config.seeds:
        student = replace(main, part="absent").tuned("soft", dataset, seed=seed, temperature=temperature)
        yield replace(student, teacher=main.tuned("teacher", dataset).name, share=share)


def _prefilter(config: StudyConfig, dataset: str) -> Iterator[Step]:
    """Soft students as those of the main part, by the main part's teacher, on what is left of the data set."""
    main = _Maker.of(config, "main")
    teacher, baseline = main.tuned("teacher", dataset).name, main.tuned("baseline", dataset).name
    for seed in config.seeds:
        student = replace(main, part="prefilter").tuned("soft", dataset, seed=seed)
        yield replace(student, teacher=teacher, cleaned_by=baseline)
