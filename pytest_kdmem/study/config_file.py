"""A TOML file → the study it describes."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from pytest_kdmem.base.paths import read_text
from pytest_kdmem.distill.recipe import Mode, Recipe
from pytest_kdmem.distill.shapes import Family, Size
from pytest_kdmem.errors import SpecError
from pytest_kdmem.errors.harmless import quoted
from pytest_kdmem.specs.checks import nonempty_text, require, whole_number
from pytest_kdmem.specs.declared import Extraction
from pytest_kdmem.study.config import (
    MODES,
    PILOT_MODES,
    Dataset,
    FamiliesPart,
    PilotPart,
    PrefilterPart,
    Shares,
    SizePart,
    StudyConfig,
    TemperaturePart,
)
from pytest_kdmem.study.further_parts import AbsentPart, CanariesPart, OnPolicyPart, QuestionsPart

Table = TypeVar("Table")


def read_config(path: Path) -> StudyConfig:
    """The study that a TOML file describes.

    Raises:
        SpecError: no such file, no TOML, a key that is unknown or missing (with the valid ones), or a wrong value.
    """
    try:
        content = tomllib.loads(read_text(path))
    except OSError as error:
        raise SpecError(f"A study was expected in {path}, which cannot be read ({error.strerror or error}).") from None
    except (ValueError, RecursionError) as error:
        raise SpecError(f"A study was expected in {path}, which is no valid TOML ({error}).") from None
    try:
        return _study(content)
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from None


@dataclass(frozen=True)
class _File:
    """The keys of the file's first level."""

    name: str
    window_tokens: int
    prefix_tokens: int
    suffix_tokens: int
    vocabulary: int
    family: Family
    seeds: list[int]
    sizes: dict[str, Any]
    datasets: dict[str, Any]
    recipes: dict[str, Any]
    repetition: list[Any] = field(default_factory=list)
    seed: int = 0
    parts: dict[str, Any] = field(default_factory=dict)


def _study(content: dict[str, Any]) -> StudyConfig:
    file = _table(_File, content, "the study")
    require("name", file.name, nonempty_text)
    readers: dict[str, Callable[[Any, str], Any]] = {
        "temperature": lambda table, where: _table(TemperaturePart, table, where, values=_tuple),
        "size": lambda table, where: _table(SizePart, table, where),
        "families": lambda table, where: _table(FamiliesPart, table, where, families=_tuple, sizes=_sizes),
        "prefilter": lambda table, where: _table(PrefilterPart, table, where, datasets=_tuple),
        "canaries": lambda table, where: _table(CanariesPart, table, where, datasets=_tuple, copies=_tuple),
        "on_policy": lambda table, where: _table(OnPolicyPart, table, where, seeds=_seeds, recipe=_on_policy_recipe),
        "absent": lambda table, where: _table(AbsentPart, table, where, datasets=_tuple),
        "questions": lambda table, where: _table(QuestionsPart, table, where, datasets=_tuple),
        "pilot": lambda table, where: _table(PilotPart, table, where, recipes=_recipes(PILOT_MODES)),
    }
    parts = _keyed(file.parts, "parts")
    _check_keys(parts, tuple(readers), (), "parts")
    if not _keyed(file.datasets, "datasets"):
        raise SpecError("datasets must name at least one; found none.")
    return StudyConfig(
        name=file.name,
        datasets={
            name: _table(Dataset, table, f"datasets.{name}", shares=lambda each, where: _table(Shares, each, where))
            for name, table in file.datasets.items()
        },
        sizes=_sizes(file.sizes, "sizes"),
        recipes=_recipes(MODES)(file.recipes, "recipes"),
        repetition=_repetition(file.repetition),
        family=file.family,
        vocabulary=file.vocabulary,
        seeds=_tuple(file.seeds, "seeds"),
        extraction=Extraction(file.prefix_tokens, file.suffix_tokens, file.window_tokens),
        seed=file.seed,
        **{name: readers[name](table, f"parts.{name}") for name, table in parts.items()},
    )


def _table(kind: type[Table], content: Any, where: str, **readers: Callable[[Any, str], Any]) -> Table:
    """A table of the file as a dataclass, whose fields are the valid keys; readers turn nested values."""
    keys = {each.name: each for each in fields(kind)}  # type: ignore[arg-type]
    needed = [name for name, key in keys.items() if key.default is MISSING and key.default_factory is MISSING]
    _check_keys(_keyed(content, where), tuple(keys), tuple(needed), where)
    values = {
        name: readers[name](value, f"{where}.{name}") if name in readers else value for name, value in content.items()
    }
    try:
        return kind(**values)
    except SpecError as error:
        raise SpecError(f"in {where}, {error}") from None


def _check_keys(content: Mapping[str, Any], valid: tuple[str, ...], needed: tuple[str, ...], where: str) -> None:
    for name in content:
        if name not in valid:
            raise SpecError(f"Key {quoted(name)} of {where} is unknown; valid are {', '.join(valid)}.")
    missing = [name for name in needed if name not in content]
    if missing:
        raise SpecError(f"Key {quoted(missing[0])} was expected in {where}, and it is missing.")


def _keyed(content: Any, where: str) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise SpecError(f"A table was expected as {where}; found {quoted(content)}.")
    return content


def _tuple(content: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(content, list):
        raise SpecError(f"A list was expected as {where}; found {quoted(content)}.")
    return tuple(content)


def _sizes(content: Any, where: str) -> dict[str, Size]:
    """Sizes by name, checked here and not when, hours later, the first model of that size is made."""
    sizes = {name: _table(Size, table, f"{where}.{name}") for name, table in _keyed(content, where).items()}
    for name, size in sizes.items():
        for key, value in asdict(size).items():
            require(f"{key} of {where}.{name}", value, whole_number(1))
        if size.width % (2 * size.heads):
            raise SpecError(
                f"width of {where}.{name} must be its heads times an even number; found width {size.width} and"
                f" {size.heads} heads."
            )
    for name in ("large", "small"):
        if name not in sizes:
            raise SpecError(
                f"Size {name} was expected in {where}, and it is missing; teachers are large, students small."
            )
    return sizes


def _recipes(modes: Mapping[str, Mode]) -> Callable[[Any, str], dict[str, Recipe]]:
    def read(content: Any, where: str) -> dict[str, Recipe]:
        needed = tuple(name for name in modes if name != "hard")  # a study may leave hard students out
        _check_keys(_keyed(content, where), tuple(modes), needed, where)
        return {name: _recipe(table, modes[name], f"{where}.{name}") for name, table in content.items()}

    return read


def _recipe(content: Any, mode: Mode, where: str) -> Recipe:
    set_elsewhere = {"mode", "seed"} | (set() if mode in ("soft", "on-policy") else {"temperature"})
    valid = tuple(each.name for each in fields(Recipe) if each.name not in set_elsewhere)
    _check_keys(_keyed(content, where), valid, (), where)
    try:
        return Recipe(mode=mode, **content)
    except SpecError as error:
        raise SpecError(f"in {where}, {error}") from None


def _on_policy_recipe(content: Any, where: str) -> Recipe:
    return _recipe(content, "on-policy", where)


def _seeds(content: Any, where: str) -> dict[str, tuple[int, ...]]:
    return {name: _tuple(seeds, f"{where}.{name}") for name, seeds in _keyed(content, where).items()}


def _repetition(content: Any) -> tuple[tuple[int, float], ...]:
    pairs = [_tuple(pair, "an entry of repetition") for pair in _tuple(content, "repetition")]
    if any(len(pair) != 2 for pair in pairs):
        raise SpecError(f"repetition must be a list of [copies, share]; found {quoted(content)}.")
    return tuple((copies, share) for copies, share in pairs)
