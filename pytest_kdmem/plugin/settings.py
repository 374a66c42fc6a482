"""The value of every option for one run of pytest, and where it came from."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from pytest_kdmem.base.addresses import Place, file_place
from pytest_kdmem.base.paths import exists, local_path
from pytest_kdmem.errors import KdmemError, SpecError
from pytest_kdmem.errors.harmless import harmless, named, quoted
from pytest_kdmem.plugin.usage import usage_error
from pytest_kdmem.specs.checks import to_truth
from pytest_kdmem.specs.option import Kind, Option
from pytest_kdmem.specs.options import OPTIONS
from pytest_kdmem.specs.students import split_entry

# Between two paths of a variable; the colon of an address is none.
PATHS_APART = re.compile(rf"{re.escape(os.pathsep)}(?!//)")
Origin = Literal["option", "environment", "configuration", "default"]


@dataclass(frozen=True)
class Settings:
    """The settings of one run.

    Attributes:
        values: Value of every option, by key.
        origins: Kind of place that each value came from, by key.
        places: That place as a user would write it (``--kdmem-seed``, ``KDMEM_SEED``, ``kdmem_seed``), by key; "" for
            a default.
        root: Folder of the configuration.
    """

    values: Mapping[str, Any]
    origins: Mapping[str, Origin]
    places: Mapping[str, str]
    root: Path = field(default_factory=Path)

    def __getitem__(self, key: str) -> Any:
        return self.values[key]

    @property
    def given(self) -> dict[str, Any]:
        """Everything that was set anywhere, for headers and reports."""
        return {key: _shown(value) for key, value in self.values.items() if self.origins[key] != "default"}

    @property
    def cache_dir(self) -> Path:
        """Folder of the scores: beside the configuration, unless a place was named for this run."""
        return self._beside_configuration("cache_dir")

    @property
    def baseline_file(self) -> Path | None:
        """File of accepted figures: beside the configuration, unless a place was named for this run."""
        return None if self["baseline_file"] is None else self._beside_configuration("baseline_file")

    def overrides(self, key: str) -> bool:
        """Whether a value was given for this run, so that it goes before what an audit declares."""
        return self.origins[key] in ("option", "environment")

    def header(self) -> list[str]:
        """Return a line for each kind of place that settings came from."""
        by_origin: dict[str, list[str]] = {}
        for key, value in self.given.items():
            by_origin.setdefault(self.origins[key], []).append(f"{key}={value}")
        return [f"kdmem {origin}: {', '.join(texts)}" for origin, texts in by_origin.items()]

    def _beside_configuration(self, key: str) -> Path:
        path = local_path(self[key])
        return path if self.overrides(key) else self.root / path


def read_settings(config: pytest.Config) -> Settings:
    """Resolve every option.

    Raises:
        pytest.UsageError: A value is not of its kind or not among its choices.
    """
    values: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    places: dict[str, str] = {}
    for option in OPTIONS:
        origin, place, raw_value = _raw_value(option, config)
        origins[option.key], places[option.key] = origin, place
        values[option.key] = option.default if origin == "default" else _converted(option, place, raw_value)
        if origin == "configuration" and option.kind == "path":
            values[option.key] = path_from_root(values[option.key], config.rootpath)
        if origin == "configuration" and option.key == "students":
            values[option.key] = [_student_from_root(entry, config.rootpath) for entry in values[option.key]]
    return Settings(values, origins, places, config.rootpath)


def remove_reports(settings: Settings) -> None:
    """Remove what stands where reports will be written: it is of another run, and must not be taken for this one's.

    Raises:
        pytest.UsageError: A report would be written over the accepted figures, or cannot be written.
    """
    place = settings.places["report"]
    try:
        # All are looked at before any is removed.
        for report in [_report_place(path, settings) for path in settings["report"]]:
            if isinstance(report, str):
                from pytest_kdmem.base.remote_files import make_room

                make_room(report)
            else:
                report.unlink(missing_ok=True)
    except OSError as error:
        raise usage_error(f"{place}: a report cannot be written to {error.filename} ({error.strerror}).") from None
    except KdmemError as error:
        raise usage_error(f"{place}: {error}") from None


def _report_place(path: str, settings: Settings) -> Place:
    """Return where a report will be written.

    Raises:
        KdmemError: It would be written over the accepted figures, or may not be written at an address.
    """
    place, accepted = file_place(path), settings.baseline_file
    if isinstance(place, str):
        if settings["offline"]:
            raise SpecError(f"{path} lies in an object store, and --kdmem-offline forbids writing there.")
        if settings["show_text"]:
            raise SpecError(
                f"A path on this machine was expected with --kdmem-show-text, as a report with text is for its owner"
                f" alone; found {path}."
            )
    elif accepted is not None and place.resolve() == accepted.resolve():
        raise SpecError(f"a report would overwrite the accepted figures in {accepted}; name another file.")
    return place


def path_from_root(value: str, root: Path) -> str:
    """Return a path of the configuration as seen from the configuration's folder; a hub id or preset is no path."""
    candidate = root / local_path(value)
    return str(candidate) if exists(candidate) else value


def _student_from_root(entry: str, root: Path) -> str:
    """Return one of several students of the configuration, whose folder is seen from the configuration's."""
    _, source = split_entry(entry)
    return f"{entry.removesuffix(source)}{path_from_root(source, root)}"


def _raw_value(option: Option, config: pytest.Config) -> tuple[Origin, str, Any]:
    """Return where an option was set, that place as a user would write it, and the value as it stands there."""
    if (value := config.getoption(f"kdmem_{option.key}")) is not None:
        return "option", option.flag, value
    if value := os.environ.get(option.variable):
        return "environment", option.variable, PATHS_APART.split(value) if option.kind == "paths" else value
    try:
        value = config.getini(f"kdmem_{option.key}")
    except (TypeError, ValueError) as error:
        raise usage_error(f"kdmem_{option.key} in the configuration: {error}") from None
    if value not in (None, "", []):
        return "configuration", f"kdmem_{option.key}", value
    return "default", "", None


def _converted(option: Option, place: str, raw_value: Any) -> Any:
    convert, kind = CONVERSIONS.get(option.kind, (lambda value: value, ""))
    try:
        value = convert(raw_value)
    except (TypeError, ValueError):
        way_out = " (1% is 0.01)" if option.kind == "number" and str(raw_value).endswith("%") else ""
        raise usage_error(f"{place} must be {kind}{way_out}; found {quoted(raw_value)}.") from None
    if expected := option.check(value):
        raise usage_error(f"{place} must be {expected}; found {quoted(raw_value)}.")
    return value


def _shown(value: Any) -> Any:
    """A value as headers and reports show it."""
    if isinstance(value, list):
        return [_shown(entry) for entry in value]
    return harmless(named(value)) if isinstance(value, str) else value


# What turns a value as it was written into one of its kind, and what the kind is called.
CONVERSIONS: dict[Kind, tuple[Callable[[Any], Any], str]] = {
    "count": (int, "a whole number"),
    "number": (float, "a number"),
    "flag": (to_truth, "true or false"),
    "truth": (to_truth, "yes or no"),
}
