"""Every option's value for this run, where it came from, and what is wrong with it before anything is loaded."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import pytest

from pytest_kdmem.options import OPTIONS, Kind, Option

Origin = Literal["option", "environment", "configuration", "default"]
CONFIGURATION_FILES = (
    "pytest.toml",
    ".pytest.toml",
    "pytest.ini",
    ".pytest.ini",
    "pyproject.toml",
    "tox.ini",
    "setup.cfg",
)


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


# Read by the command `study`, and by the tests of this package.
OTHER_VARIABLES = ("KDMEM_DATA", "KDMEM_CHROMIUM", "KDMEM_SCHEMAS")
# What accepts the figures of every run judges none.
UPDATE = "--kdmem-update-baseline-file"
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


def check_settings(settings: Settings) -> None:
    """Refuse now what was named for this run and cannot be audited, before anything is collected or loaded.

    Raises:
        pytest.UsageError: lengths that do not fit, or a model or training set that is not there.
    """
    if not settings.given:
        return
    from pytest_kdmem.checkpoint import looks_like_hub_id
    from pytest_kdmem.errors import KdmemError
    from pytest_kdmem.spec import Extraction

    for role in ("teacher", "student", "baseline"):
        source = settings[role]
        if settings.overrides(role) and not Path(source).expanduser().is_dir() and not looks_like_hub_id(source):
            raise pytest.UsageError(
                f"{settings.places[role]}: a model folder was expected at {source}, and there is none; check the path."
            )
    try:
        Extraction(*(settings[f"{part}_tokens"] for part in ("prefix", "suffix", "window")))
    except KdmemError as error:
        raise pytest.UsageError(str(error)) from None
    if settings["shard"]:
        if settings["no_cache"]:
            raise pytest.UsageError(f"{settings.places['shard']} keeps its scores for the other parts; keep a cache.")
        if settings.overrides("report"):
            raise pytest.UsageError(
                f"{settings.places['report']}: a report tells of whole audits, and {settings.places['shard']} scores a"
                " part; report from a run without it once all parts are scored."
            )
    for role in ("training_set", "control_set"):
        if settings[role] and "://" in settings[role]:  # it may tell a password, which would be in headers and reports
            from pytest_kdmem.corpus.object_store import check_uri

            try:
                check_uri(settings[role])
            except KdmemError as error:
                raise pytest.UsageError(f"{settings.places[role]}: {error}") from None
        if settings.overrides(role):
            from pytest_kdmem.corpus.sources import check_source
            from pytest_kdmem.spec import TrainingSet

            try:
                check_source(TrainingSet(settings[role]))
            except KdmemError as error:
                raise pytest.UsageError(f"{settings.places[role]}: {error}") from None


def lasting(config: pytest.Config, flag: str) -> str:
    """Where an option that is for one run was set for every run; nothing if on the command line, or not at all."""
    named = any(str(one).partition("=")[0] == flag for one in config.invocation_params.args)
    settings, key = settings_of(config), flag.removeprefix("--kdmem-").replace("-", "_")
    return "" if named or not settings[key] or hasattr(config, "workerinput") else settings.places[key]


def wrong_update(config: pytest.Config) -> str:
    """What keeps the figures of this run from being accepted, or nothing."""
    settings = settings_of(config)
    place = settings.places["update_baseline_file"]
    if not settings["update_baseline_file"]:
        return ""
    if elsewhere := lasting(config, UPDATE):
        return f"Figures are accepted by one run: {UPDATE} was expected on the command line, and found in {elsewhere}."
    if settings["baseline_file"] is None:
        return f"{place} writes to the baseline file, and none is named; set --kdmem-baseline-file."
    if settings["shard"]:
        return f"{settings.places['shard']} scores a part, whose figures are none to accept; drop {place}."
    return ""


def check_configuration(config: pytest.Config) -> None:
    """Refuse `--kdmem-student PATH` where it hid the configuration.

    pytest looks for its configuration above every argument that is a path, before it knows that one of them is an
    option's value; thresholds that stand in the configuration would be lost unseen.

    Raises:
        pytest.UsageError: the configuration above what is tested is not the one in use.
    """
    arguments = [str(argument) for argument in config.invocation_params.args]
    flags = {option.flag for option in OPTIONS if option.kind in ("path", "paths")}
    spaced = [
        (flag, value)
        for flag, value in pairwise(arguments)
        if flag in flags and (config.invocation_params.dir / value).exists()
    ]
    if not spaced or "-c" in arguments or any(one.startswith(("--config-file", "--rootdir")) for one in arguments):
        return
    tested = [str((config.invocation_params.dir / one.split("::")[0]).resolve()) for one in config.args]
    base = Path(os.path.commonpath(tested)) if tested else config.invocation_params.dir
    expected = next(
        (
            folder / name
            for folder in (base, *base.parents)
            for name in CONFIGURATION_FILES
            if _configures(folder / name)
        ),
        None,
    )
    if expected is not None and (config.inipath is None or config.inipath.resolve() != expected):
        flag, value = spaced[0]
        raise pytest.UsageError(f"{flag} {value} keeps pytest from finding {expected}; write {flag}={value}.")


def check_names(config: pytest.Config) -> None:
    """Refuse a misspelt setting, which would leave its default in force.

    Raises:
        pytest.UsageError: the environment or the configuration names a setting that there is not.
    """
    variables = [option.variable for option in OPTIONS]
    keys = [f"kdmem_{option.key}" for option in OPTIONS]
    set_here = [name for name in os.environ if name.startswith("KDMEM_") and name not in OTHER_VARIABLES]
    written = [name for name in config._get_unknown_ini_keys() if name.startswith("kdmem_")]
    for name, known in [*((one, variables) for one in set_here), *((one, keys) for one in sorted(written))]:
        if name not in known:
            near = get_close_matches(name, known, 1, 0)
            raise pytest.UsageError(f"{name}: a setting was expected, and there is none of this name; {near[0]}?")


def _configures(path: Path) -> bool:
    """Whether pytest would take a file for its configuration."""
    if not path.is_file():
        return False
    sections = {"pyproject.toml": "[tool.pytest", "tox.ini": "[pytest]", "setup.cfg": "[tool:pytest]"}
    return sections.get(path.name, "") in path.read_text(encoding="utf-8", errors="replace")


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
