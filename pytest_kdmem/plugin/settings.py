"""Every option's value for this run, and where it came from."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from pytest_kdmem.specs.options import OPTIONS, Kind, Option

Origin = Literal["option", "environment", "configuration", "default"]


@dataclass(frozen=True)
class Settings:
    """Every option's value, by key, and where it came from: its origin, and the place as a user would write it."""

    values: Mapping[str, Any]
    origins: Mapping[str, Origin]
    places: Mapping[str, str]
    root: Path = field(default_factory=Path)

    def __getitem__(self, key: str) -> Any:
        return self.values[key]

    @property
    def given(self) -> dict[str, Any]:
        """What was set anywhere, for headers and reports."""
        return {key: value for key, value in self.values.items() if self.origins[key] != "default"}

    @property
    def cache_dir(self) -> Path:
        """Where scores are kept: beside the configuration, unless a place was named for this run."""
        path = Path(self["cache_dir"]).expanduser()
        return path if self.overrides("cache_dir") else self.root / path

    @property
    def baseline_file(self) -> Path | None:
        """Where accepted figures stand: beside the configuration, unless a place was named for this run."""
        if self["baseline_file"] is None:
            return None
        path = Path(self["baseline_file"]).expanduser()
        return path if self.overrides("baseline_file") else self.root / path

    def overrides(self, key: str) -> bool:
        """Whether a value was given for this run, so that it goes before what an audit declares."""
        return self.origins[key] in ("option", "environment")


SETTINGS = pytest.StashKey[Settings]()
SCRATCH = pytest.StashKey[Path]()


def settings_of(config: pytest.Config) -> Settings:
    """The settings of this run, resolved when they are first asked for."""
    if SETTINGS not in config.stash:
        config.stash[SETTINGS] = read_settings(config)
    return config.stash[SETTINGS]


def cache_of(config: pytest.Config) -> Path:
    """Where this run keeps scores: the cache, or else a folder that its processes share and that goes with it."""
    settings = settings_of(config)
    if not settings["no_cache"]:
        return settings.cache_dir
    if SCRATCH not in config.stash:
        given = getattr(config, "workerinput", {}).get("kdmem_scratch")
        if given is None:
            given = tempfile.mkdtemp(prefix="kdmem-")
            config.add_cleanup(lambda: shutil.rmtree(given, ignore_errors=True))
        config.stash[SCRATCH] = Path(given)
    return config.stash[SCRATCH]


def read_settings(config: pytest.Config) -> Settings:
    """Resolve every option.

    Raises:
        pytest.UsageError: a value is not of its kind or not among its choices.
    """
    values: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    places: dict[str, str] = {}
    for option in OPTIONS:
        origin, place, raw = _raw(option, config)
        origins[option.key], places[option.key] = origin, place
        values[option.key] = option.default if origin == "default" else _checked(option, place, raw)
        if origin == "configuration" and option.kind == "path":
            values[option.key] = _from_root(values[option.key], config.rootpath)
    return Settings(values, origins, places, config.rootpath)


def remove_reports(settings: Settings) -> None:
    """What stands where a report will be tells of another run, and must not be taken for this one's."""
    accepted = settings.baseline_file
    if accepted is not None and any(Path(path).resolve() == accepted.resolve() for path in settings["report"]):
        raise pytest.UsageError(
            f"{settings.places['report']}: a report was to be written over the accepted figures in {accepted}; name"
            " another file."
        )
    for path in settings["report"]:
        try:
            Path(path).unlink(missing_ok=True)
        except OSError as error:
            place = settings.places["report"]
            raise pytest.UsageError(f"{place}: a report cannot be written to {path} ({error.strerror}).") from None


def _raw(option: Option, config: pytest.Config) -> tuple[Origin, str, Any]:
    if (value := config.getoption(f"kdmem_{option.key}")) is not None:
        return "option", option.flag, value
    if value := os.environ.get(option.variable):
        return "environment", option.variable, value.split(os.pathsep) if option.kind == "paths" else value
    try:
        value = config.getini(f"kdmem_{option.key}")
    except (TypeError, ValueError) as error:
        raise pytest.UsageError(f"kdmem_{option.key} in the configuration: {error}") from None
    if value not in (None, "", []):
        return "configuration", f"kdmem_{option.key}", value
    return "default", "", None


def _checked(option: Option, place: str, raw: Any) -> Any:
    convert, what = CONVERSIONS.get(option.kind, (lambda value: value, ""))
    try:
        value = convert(raw)
    except (TypeError, ValueError):
        raise pytest.UsageError(f"{place} must be {what}; found {raw!r}.") from None
    if wrong := option.check(value):
        raise pytest.UsageError(f"{place} must be {wrong}; found {raw!r}.")
    return value


def _truth(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    known = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if str(value).lower() not in known:
        raise ValueError
    return known[str(value).lower()]


CONVERSIONS: dict[Kind, tuple[Callable[[Any], Any], str]] = {
    "count": (int, "a whole number"),
    "number": (float, "a number"),
    "flag": (_truth, "true or false"),
}


def _from_root(value: str, root: Path) -> str:
    """A path in the configuration is meant from where the configuration lies; a hub id or preset is no path."""
    candidate = root / Path(value).expanduser()
    return str(candidate) if candidate.exists() else value
