"""The configuration of a study, as frozen values that are checked when they are made."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, get_args

from pytest_kdmem.distill.recipe import Mode, Recipe
from pytest_kdmem.distill.shapes import Family, Size
from pytest_kdmem.errors import SpecError
from pytest_kdmem.errors.harmless import quoted
from pytest_kdmem.specs.checks import choice, nonempty_text, number, optional, require, whole_number
from pytest_kdmem.specs.declared import Extraction
from pytest_kdmem.specs.reading_kinds import Documents
from pytest_kdmem.study.further_parts import FURTHER_PARTS, AbsentPart, CanariesPart, OnPolicyPart, QuestionsPart

PARTS = ("main", "temperature", "size", "families", "pilot", "prefilter", "canaries", *FURTHER_PARTS)
# The loss with which each recipe of a study trains.
MODES: dict[str, Mode] = {
    "base-large": "baseline",
    "base-small": "baseline",
    "teacher": "baseline",
    "baseline": "baseline",
    "soft": "soft",
    "hard": "hard",
}
PILOT_MODES: dict[str, Mode] = {"teacher": "baseline", "baseline": "baseline", "soft": "soft"}


@dataclass(frozen=True)
class Shares:
    """How the characters of a text are divided, document by document: pre-training, D, held out."""

    pretraining: float
    training: float
    held_out: float = 0.0

    def __post_init__(self) -> None:
        for each in fields(self):
            require(f"share {each.name}", getattr(self, each.name), number(least=0, most=1))
        if self.training == 0 or self.pretraining == 0 or sum(asdict(self).values()) > 1 + 1e-9:
            raise SpecError(
                "shares of pretraining and training must be above 0, and all of them at most 1 together; found"
                f" {self.pretraining}, {self.training} and {self.held_out}."
            )


@dataclass(frozen=True)
class Dataset:
    """Where a training set D comes from.

    Args:
        text: file relative to the data folder, in any format of a training set, or a preset's name.
        examples: distinct examples of D.
        held_out_examples: distinct examples of the held-out set.
        shares: how the text is divided.
        documents: ``lines`` makes a document of each line or row; ``articles`` joins WikiText's lines.
        held_out: text of the held-out set; without it, a share of ``text``.
        text_column: column of the text.
        characters: number of characters read from the text; all of it if None.
    """

    text: str
    examples: int
    held_out_examples: int
    shares: Shares
    documents: Documents = "lines"
    held_out: str | None = None
    text_column: str = "text"
    characters: int | None = None

    def __post_init__(self) -> None:
        require("examples", self.examples, whole_number(1))
        require("held_out_examples", self.held_out_examples, whole_number(1))
        require("characters", self.characters, optional(whole_number(1)))
        require("documents", self.documents, choice(*sorted(get_args(Documents))))
        require("text", self.text, nonempty_text)
        require("text_column", self.text_column, nonempty_text)
        require("held_out", self.held_out, optional(nonempty_text))
        if (self.held_out is None) != (self.shares.held_out > 0):
            raise SpecError(
                f"Held-out text must be either a file (held_out) or a share of the text above 0; found"
                f" {self.held_out!r} and {self.shares.held_out}."
            )

    @property
    def texts(self) -> tuple[str, ...]:
        """Every text that is read."""
        return (self.text,) if self.held_out is None else (self.text, self.held_out)


@dataclass(frozen=True)
class TemperaturePart:
    """Soft students at further temperatures, on one data set."""

    dataset: str
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        for value in self.values:
            require("a temperature", value, number(least=1e-3, most=1e3))
        if len(set(self.values)) < len(self.values):
            raise SpecError(f"values must differ; found {list(self.values)}.")


@dataclass(frozen=True)
class SizePart:
    """A baseline of a further size, on one data set; its base model is pre-trained as the small one."""

    dataset: str
    size: str


@dataclass(frozen=True)
class FamiliesPart:
    """Teacher, baseline and soft student of further families, on one data set; sizes ``large`` and ``small``."""

    dataset: str
    families: tuple[Family, ...]
    sizes: Mapping[str, Size]


@dataclass(frozen=True)
class PilotPart:
    """From checkpoint to checkpoint of pre-training: the large base model goes on over D, which is all new to it.

    It is the teacher; the students start from the small base model, pre-trained up to the same point.
    """

    dataset: str
    recipes: Mapping[str, Recipe]


@dataclass(frozen=True)
class PrefilterPart:
    """Soft students distilled on D without what is at risk, on some data sets; all else is the main part's.

    What is at risk is learned from what teacher and baseline both memorized, and ``recall`` of that is to be left out.
    """

    datasets: tuple[str, ...]
    recall: float = 0.95

    def __post_init__(self) -> None:
        if not self.datasets or any(self.datasets.count(name) > 1 for name in self.datasets):
            raise SpecError(f"datasets must name at least one, each once; found {list(self.datasets)}.")
        require("recall", self.recall, number(least=1e-3, most=1 - 1e-3))


@dataclass(frozen=True)
class StudyConfig:
    """Everything that determines a study, except the bytes of its texts.

    Args:
        name: name of the study.
        datasets: data sets by name; the base models are pre-trained on the pre-training shares of all of them.
        sizes: model shapes by name; ``large`` is the teacher's and ``small`` the students'.
        recipes: training recipes by role; the plan sets their seed.
        repetition: (copies, share of the distinct examples of D) for the examples that D contains more than once.
        family: architecture of all parts except ``families``.
        vocabulary: size of each family's tokenizer.
        seeds: seeds of the order of the data for baseline and students; everything else uses the first.
        seed: seed of the division of the texts and of untrained weights.

    Raises:
        SpecError: a value is of the wrong kind, or names something that does not exist.
    """

    name: str
    datasets: Mapping[str, Dataset]
    sizes: Mapping[str, Size]
    recipes: Mapping[str, Recipe]
    repetition: tuple[tuple[int, float], ...]
    family: Family
    vocabulary: int
    seeds: tuple[int, ...]
    extraction: Extraction
    seed: int = 0
    temperature: TemperaturePart | None = None
    size: SizePart | None = None
    families: FamiliesPart | None = None
    pilot: PilotPart | None = None
    prefilter: PrefilterPart | None = None
    canaries: CanariesPart | None = None
    on_policy: OnPolicyPart | None = None
    absent: AbsentPart | None = None
    questions: QuestionsPart | None = None

    def __post_init__(self) -> None:
        for name in (*self.datasets, *self.sizes):  # they name folders
            if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
                raise SpecError(f"Names of data sets and sizes must be letters, digits, - and _; found {quoted(name)}.")
        texts = [text for dataset in self.datasets.values() for text in dataset.texts]
        if len(set(texts)) < len(texts):  # else the D of one data set would be pre-training text of another
            raise SpecError(f"Each text must be read once, so that no part shares a document; found {texts}.")
        require("vocabulary", self.vocabulary, whole_number(1))
        require("seed", self.seed, whole_number(0))
        for seed in self.seeds:
            require("a seed", seed, whole_number(0))
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise SpecError(f"seeds must name at least one, each once; found {list(self.seeds)}.")
        for copies, share in self.repetition:
            require("copies in repetition", copies, whole_number(2))
            require("a share in repetition", share, number(least=0, most=1))
        if sum(share for _, share in self.repetition) > 1 + 1e-9:
            raise SpecError(f"shares in repetition must be at most 1 together; found {list(self.repetition)}.")
        for family in (self.family, *(self.families.families if self.families is not None else ())):
            require("a family", family, choice(*sorted(get_args(Family))))
        if self.size is not None:
            require("size in parts.size", self.size.size, choice(*sorted(set(self.sizes) - {"large", "small"})))
        for part in (self.temperature, self.size, self.families, self.pilot):
            if part is not None:
                require("dataset of a part", part.dataset, choice(*sorted(self.datasets)))
        for name in ("prefilter", "canaries", *FURTHER_PARTS):
            for dataset in self.datasets_of(name):
                require(f"a data set of parts.{name}", dataset, choice(*sorted(self.datasets)))
        if self.on_policy is not None and not {*self.on_policy.all_seeds} <= {*self.seeds}:
            raise SpecError(
                f"seeds in parts.on_policy must be some of {list(self.seeds)}; found {list(self.on_policy.all_seeds)}."
            )
        if self.families is not None and len({self.family, *self.families.families}) <= len(self.families.families):
            raise SpecError(
                f"families must be others than {self.family}, each once; found {list(self.families.families)}."
            )

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that the configuration has, ``main`` first."""
        return tuple(part for part in PARTS if part == "main" or getattr(self, part) is not None)

    def datasets_of(self, part: str) -> tuple[str, ...]:
        """The data sets of a part that has several; none if the study lacks it."""
        declared = getattr(self, part)
        return () if declared is None else tuple(declared.datasets)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)
