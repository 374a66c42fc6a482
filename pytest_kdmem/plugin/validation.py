"""What is wrong with a run as it was set, before anything is collected or loaded."""

from __future__ import annotations

import os
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path

import pytest

from pytest_kdmem.plugin.options import unknown_keys
from pytest_kdmem.plugin.settings import Settings, settings_of
from pytest_kdmem.specs.options import OPTIONS

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
# What accepts the figures of every run judges none.
UPDATE = "--kdmem-update-baseline-file"


def check_settings(settings: Settings) -> None:
    """Refuse now what was named for this run and cannot be audited, before anything is collected or loaded.

    Raises:
        pytest.UsageError: lengths that do not fit, or a model or training set that is not there.
    """
    if not settings.given:
        return
    from pytest_kdmem.errors import KdmemError
    from pytest_kdmem.specs.checkpoint import looks_like_hub_id
    from pytest_kdmem.specs.declared import Extraction

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
            from pytest_kdmem.specs.declared import TrainingSet

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
    for name, known in [*((one, variables) for one in set_here), *((one, keys) for one in unknown_keys(config))]:
        if name not in known:
            near = get_close_matches(name, known, 1, 0)
            raise pytest.UsageError(f"{name}: a setting was expected, and there is none of this name; {near[0]}?")


def _configures(path: Path) -> bool:
    """Whether pytest would take a file for its configuration."""
    if not path.is_file():
        return False
    sections = {"pyproject.toml": "[tool.pytest", "tox.ini": "[pytest]", "setup.cfg": "[tool:pytest]"}
    return sections.get(path.name, "") in path.read_text(encoding="utf-8", errors="replace")
