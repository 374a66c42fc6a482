"""Errors in the settings of a run, raised before anything is collected or loaded."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from pytest_kdmem.base.paths import is_folder, local_path
from pytest_kdmem.base.text import nearest
from pytest_kdmem.plugin.options import unknown_keys
from pytest_kdmem.plugin.settings import Settings
from pytest_kdmem.plugin.usage import usage_error
from pytest_kdmem.specs.options import OPTIONS
from pytest_kdmem.specs.roles import DATA_ROLES, MODEL_ROLES

CONFIGURATION_FILES = (
    "pytest.toml",
    ".pytest.toml",
    "pytest.ini",
    ".pytest.ini",
    "pyproject.toml",
    "tox.ini",
    "setup.cfg",
)
# Read by the command `study`, and by the tests of this package.
OTHER_VARIABLES = ("KDMEM_DATA", "KDMEM_CHROMIUM", "KDMEM_SCHEMAS")
UPDATE_FLAG = "--kdmem-update-baseline-file"


def check_settings(settings: Settings) -> None:
    """Refuse now what was named for this run and cannot be audited.

    Raises:
        pytest.UsageError: Lengths or other settings do not fit together, or a model or training set is not there.
    """
    if settings.given:
        _check_models(settings)
        _check_lengths(settings)
        _check_shard(settings)
        _check_trackers(settings)
        for role in DATA_ROLES:
            _check_data(role, settings)


def _check_models(settings: Settings) -> None:
    from pytest_kdmem.errors.harmless import named
    from pytest_kdmem.specs.locations import looks_like_hub_id

    for role, source in _named_models(settings):
        place = settings.places[role]
        _check_source(f"{place}: a model's source", source)
        if settings.overrides(role) and not is_folder(local_path(source)) and not looks_like_hub_id(source):
            raise usage_error(
                f"{place}: a model folder was expected at {named(source)}, and there is none; check the path."
            )


def _named_models(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield the key and the source of each model that is named."""
    from pytest_kdmem.errors import KdmemError
    from pytest_kdmem.specs.students import students_of_setting

    yield from ((role, settings[role]) for role in MODEL_ROLES if settings[role])
    if not settings["students"]:
        return
    if settings["student"]:
        places = settings.places
        raise usage_error(
            f"Either one student or several students were expected; found {places['student']} and {places['students']}:"
            " leave one of them out."
        )
    try:
        yield from (("students", model.source) for model in students_of_setting(settings["students"]).values())
    except KdmemError as error:
        raise usage_error(f"{settings.places['students']}: {error}") from None


def _check_source(name: str, source: str) -> None:
    """Refuse a password before any header or report shows it."""
    from pytest_kdmem.errors import KdmemError
    from pytest_kdmem.specs.checks import require
    from pytest_kdmem.specs.checks import source as source_check

    try:
        require(name, source, source_check)
    except KdmemError as error:
        raise usage_error(str(error)) from None


def _check_lengths(settings: Settings) -> None:
    from pytest_kdmem.errors import KdmemError
    from pytest_kdmem.specs.declared import Extraction

    try:
        Extraction(*(settings[f"{part}_tokens"] for part in ("prefix", "suffix", "window")))
    except KdmemError as error:
        raise usage_error(str(error)) from None


def _check_shard(settings: Settings) -> None:
    place = settings.places["shard"]
    if settings["shard"] and settings["no_cache"]:
        raise usage_error(f"{place} must store its scores for the other parts; keep a cache.")
    if settings["shard"] and settings.overrides("report"):
        raise usage_error(
            f"{settings.places['report']}: a report covers whole audits, and {place} scores a part; write it in a run"
            " without this option once all parts are scored."
        )


def _check_trackers(settings: Settings) -> None:
    from pytest_kdmem.errors import KdmemError
    from pytest_kdmem.specs.other_readings import split_names
    from pytest_kdmem.specs.trackers import check_installed

    try:
        check_installed(split_names(settings["log_to"]))
    except KdmemError as error:
        raise usage_error(f"{settings.places['log_to']}: {error}") from None


def _check_data(role: str, settings: Settings) -> None:
    from pytest_kdmem.errors import KdmemError

    source, place = settings[role], settings.places[role]
    if source:
        _check_source(f"{place}: a training set's source", source)
    try:
        if source and "://" in source:  # an address may hold a password, which would stand in headers and reports
            from pytest_kdmem.base.addresses import check_address

            check_address(source)
        if settings.overrides(role):
            from pytest_kdmem.corpus.sources import check_place
            from pytest_kdmem.specs.declared import TrainingSet

            check_place(TrainingSet(source))  # how it is read, an audit may declare
    except KdmemError as error:
        raise usage_error(f"{place}: {error}") from None


def persistent_source(config: pytest.Config, settings: Settings, flag: str) -> str:
    """Return where an option that is for one run was set for every run; "" if on the command line, or not at all."""
    on_command_line = any(str(argument).partition("=")[0] == flag for argument in config.invocation_params.args)
    key = flag.removeprefix("--kdmem-").replace("-", "_")
    if on_command_line or not settings[key] or hasattr(config, "workerinput"):
        return ""
    return settings.places[key]


def update_error(config: pytest.Config, settings: Settings) -> str:
    """Return why the figures of this run cannot be accepted, or an empty string if they can or need not be."""
    place = settings.places["update_baseline_file"]
    if not settings["update_baseline_file"]:
        return ""
    if source := persistent_source(config, settings, UPDATE_FLAG):
        return (
            f"Figures are accepted by one run: {UPDATE_FLAG} was expected on the command line, and found in {source}."
        )
    if settings["baseline_file"] is None:
        return f"{place} writes to the baseline file, and none is named; set --kdmem-baseline-file."
    if settings["shard"]:
        return f"{settings.places['shard']} scores a part, whose figures cannot be accepted; drop {place}."
    return ""


def check_configuration(config: pytest.Config) -> None:
    """Refuse `--kdmem-student PATH` where it hid the configuration.

    pytest looks for its configuration above every argument that is a path, before it knows that one of them is an
    option's value; thresholds in the configuration would be lost unseen.

    Raises:
        pytest.UsageError: The configuration above what is tested is not the one in use.
    """
    invocation = config.invocation_params
    arguments = [str(argument) for argument in invocation.args]
    path_flags = {option.flag for option in OPTIONS if option.kind in ("path", "paths")}
    spaced = [
        (flag, value) for flag, value in pairwise(arguments) if flag in path_flags and (invocation.dir / value).exists()
    ]
    named = "-c" in arguments or any(argument.startswith(("--config-file", "--rootdir")) for argument in arguments)
    if not spaced or named:
        return
    tested = [str((invocation.dir / argument.split("::")[0]).resolve()) for argument in config.args]
    expected = configuration_above(Path(os.path.commonpath(tested)) if tested else invocation.dir)
    if expected is not None and (config.inipath is None or config.inipath.resolve() != expected):
        flag, value = spaced[0]
        raise usage_error(f"{flag} {value} keeps pytest from finding {expected}; write {flag}={value}.")


def check_names(config: pytest.Config) -> None:
    """Refuse a misspelt setting, which would leave its default in force.

    Raises:
        pytest.UsageError: The environment or the configuration names a setting that does not exist.
    """
    variables = [option.variable for option in OPTIONS]
    keys = [f"kdmem_{option.key}" for option in OPTIONS]
    set_variables = [name for name in os.environ if name.startswith("KDMEM_") and name not in OTHER_VARIABLES]
    for names, valid_names in ((set_variables, variables), (unknown_keys(config), keys)):
        for name in names:
            if name not in valid_names:
                raise usage_error(_no_setting(name, valid_names))


def check_flags(arguments: Iterable[str]) -> None:
    """Refuse a misspelt option before pytest calls it unrecognized, and name the one that is meant.

    Raises:
        pytest.UsageError: An argument begins as our options do, and none has this name.
    """
    flags = [option.flag for option in OPTIONS]
    for argument in arguments:
        flag = str(argument).partition("=")[0]
        if flag.startswith("--kdmem-") and flag not in flags:
            raise usage_error(_no_setting(flag, flags))


def _no_setting(name: str, valid_names: Iterable[str]) -> str:
    return f"{name}: a setting was expected, and there is none of this name; {nearest(name, valid_names)}?"


def configuration_above(folder: Path) -> Path | None:
    """Return the file that pytest would take for its configuration in a folder or the nearest one above it."""
    files = (parent / name for parent in (folder, *folder.parents) for name in CONFIGURATION_FILES)
    return next(filter(_is_configuration, files), None)


def _is_configuration(path: Path) -> bool:
    """Whether pytest would take a file for its configuration."""
    if not path.is_file():
        return False
    sections = {"pyproject.toml": "[tool.pytest", "tox.ini": "[pytest]", "setup.cfg": "[tool:pytest]"}
    return sections.get(path.name, "") in path.read_text(encoding="utf-8", errors="replace")
