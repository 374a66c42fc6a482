"""Parts of a study that ask more of the main part's models, or set students that are made in other ways beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pytest_kdmem.canaries.plan import CanaryPlan
from pytest_kdmem.distill.recipe import Recipe
from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.checks import number, optional, require, whole_number

# Their findings set models beside all of the main part's on the same data sets.
FURTHER_PARTS = ("on_policy", "absent", "questions")


@dataclass(frozen=True)
class OnPolicyPart:
    """Students of the main part's teachers that learn from text that they sample themselves.

    Args:
        seeds: seeds of the students on each data set.
        recipe: their recipe; the plan sets its seed.
    """

    seeds: Mapping[str, tuple[int, ...]]
    recipe: Recipe

    def __post_init__(self) -> None:
        for seed in self.all_seeds:
            require("a seed", seed, whole_number(0))
        if not self.seeds or any(not seeds or len(set(seeds)) < len(seeds) for seeds in self.seeds.values()):
            raise SpecError(
                f"seeds must name a data set at least, each with a seed at least; found {dict(self.seeds)}."
            )

    @property
    def datasets(self) -> tuple[str, ...]:
        return tuple(self.seeds)

    @property
    def all_seeds(self) -> tuple[int, ...]:
        return tuple(seed for seeds in self.seeds.values() for seed in seeds)


@dataclass(frozen=True)
class AbsentPart:
    """Soft students of the main part's teachers, on a part of D: what the teacher alone saw is what is asked about.

    Args:
        datasets: data sets that they are distilled on.
        share: share of the distinct examples of D that they see, each with all of its copies.
        temperature: temperature of the distillation; that of the soft recipe if None.
    """

    datasets: tuple[str, ...]
    share: float = 0.5
    temperature: float | None = None

    def __post_init__(self) -> None:
        _check_named(self.datasets)
        require("share", self.share, number(above=0, below=1))
        require("temperature", self.temperature, optional(number(least=1e-3, most=1e3)))


@dataclass(frozen=True)
class CanariesPart:
    """Teacher, baseline and students as those of the main part, but on D with canaries, which no other part trains on.

    Args:
        datasets: data sets of which canaries are put into D.
        copies, count, twins, prefix_tokens, suffix_tokens: the canaries (`CanaryPlan`).
    """

    datasets: tuple[str, ...]
    copies: tuple[int, ...] = (1, 4, 16)
    count: int = 16
    twins: int = 512
    prefix_tokens: int = 50
    suffix_tokens: int = 50

    def __post_init__(self) -> None:
        _check_named(self.datasets)
        self.plan(0)

    def plan(self, seed: int) -> CanaryPlan:
        """What is drawn; the seed is that of the draw."""
        return CanaryPlan(self.prefix_tokens, self.suffix_tokens, self.copies, self.count, self.twins, seed)


@dataclass(frozen=True)
class QuestionsPart:
    """Further questions to each model of the main part and of these parts, on some data sets. It trains none."""

    datasets: tuple[str, ...]

    def __post_init__(self) -> None:
        _check_named(self.datasets)


def _check_named(datasets: tuple[str, ...]) -> None:
    if not datasets or any(datasets.count(name) > 1 for name in datasets):
        raise SpecError(f"datasets must name at least one, each once; found {list(datasets)}.")
