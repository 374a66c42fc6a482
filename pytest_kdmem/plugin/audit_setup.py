"""Opens the audit of a test: what it and its settings declare, checked before anything is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pytest_kdmem.auditing.audit import Audit
from pytest_kdmem.auditing.opening import audit_by_settings, declare
from pytest_kdmem.auditing.regression.accepted import Accepted
from pytest_kdmem.auditing.regression.baseline_file import read_accepted
from pytest_kdmem.auditing.regression.metrics import tracked_metrics
from pytest_kdmem.base.paths import local_path
from pytest_kdmem.canaries.manifest import MANIFEST, Manifest
from pytest_kdmem.errors import SpecError
from pytest_kdmem.metrics.recorder import kept_if_broken
from pytest_kdmem.plugin.audit_scope import check_is_audit, scope_of
from pytest_kdmem.plugin.collection import is_audit
from pytest_kdmem.plugin.session import AuditSession, session_of
from pytest_kdmem.plugin.settings import Settings
from pytest_kdmem.risk.label_source import LabelSource, parse_label_source
from pytest_kdmem.specs.declared import Model
from pytest_kdmem.specs.roles import DATA_ROLES, MODEL_ROLES, ROLES

# Roles that the fixtures of this plugin ask for without naming them as arguments.
ROLES_USED_BY = {
    "canaries": ("training_set",),
    "inheritance": (*MODEL_ROLES, "training_set"),
    "memorization": ("training_set",),
    "membership": ("training_set", "control_set"),
    "near_verbatim": ("training_set",),
    "specific_memorization": ("training_set",),
    "predicted_risk": ("teacher", "baseline", "training_set"),
}


def check_running(audit: Audit, config: pytest.Config) -> None:
    """Check that the running test belongs to an audit before anything is scored for it.

    Raises:
        SpecError: It belongs to another one, whose test a fixture value was kept for.
    """
    item = session_of(config).running_test
    check_is_audit(item)
    if item is not None and scope_of(item).audit != audit.name:
        raise SpecError(
            f"An audit of {item.nodeid} was expected, and one of {audit.name or 'the root'} was kept from another test;"
            " let each test or fixture ask for memorization and the like among its arguments."
        )


@contextmanager
def measuring(audit: Audit, config: pytest.Config) -> Iterator[None]:
    """Measure something for the running test. It does not pass if that breaks, even if the test catches the error.

    Raises:
        SpecError: The running test belongs to another audit.
    """
    with kept_if_broken():
        check_running(audit, config)
        yield


def audit_of_running_test(request: pytest.FixtureRequest) -> Audit:
    """Return the audit that the running test belongs to, opened with the first of its tests.

    Raises:
        KdmemError: It cannot be opened, or declares something else than when it was.
    """
    session = session_of(request.config)
    item = session.running_test
    check_is_audit(item)
    assert item is not None
    opened = open_audit(request, item, session)
    audit = session.audits.setdefault(opened.name, opened)
    if any(getattr(audit, name) != getattr(opened, name) for name in ("roles", *DATA_ROLES)):
        raise SpecError(
            f"The same models and sets were expected of {opened.name or 'an audit'} throughout a session, and its"
            " fixtures gave others when they were set up again; let them return the same each time."
        )
    return audit


def accepted_of(audit: Audit, settings: Settings) -> Accepted:
    """Return the figures that were accepted of an audit.

    Raises:
        KdmemError: No file of accepted figures is named, or it cannot be read.
    """
    updating = settings["update_baseline_file"] or False
    if settings.baseline_file is None:
        raise SpecError(
            "A file of accepted figures was expected by this audit, and none is named; set kdmem_baseline_file in the"
            " configuration, or --kdmem-baseline-file."
        )
    figures = () if updating else read_accepted(settings.baseline_file).for_audit(audit.name)
    return Accepted(figures, lambda: tracked_metrics(audit.metrics_so_far()), updating)


def choose_label_source(
    settings: Settings, labels_from: Model | str | Path | None = None, predictor: str | Path | None = None
) -> LabelSource:
    """Return what risk is learned from: what was set for this run, or else what a test gives, or else the settings.

    Raises:
        SpecError: Labels and a predictor come from one place.
    """
    given_by_test = labels_from is not None or predictor is not None
    if given_by_test and not settings.overrides("labels_from") and not settings.overrides("predictor"):
        return parse_label_source(labels_from, predictor)
    # Of the two, one that was set for this run goes before the other in the configuration.
    if settings.overrides("labels_from") and not settings.overrides("predictor"):
        return parse_label_source(settings["labels_from"], None)
    if settings.overrides("predictor") and not settings.overrides("labels_from"):
        return parse_label_source(None, settings["predictor"])
    return parse_label_source(settings["labels_from"], settings["predictor"])


def choose_manifest(settings: Settings, manifest: str | Path | None = None) -> Manifest:
    """Return the canaries that were set for this run, or else those that a test names, or else those of the settings.

    Raises:
        KdmemError: None are named, or the file is no manifest.
    """
    named = settings["canaries"] if manifest is None or settings.overrides("canaries") else manifest
    if named is None:
        raise SpecError(
            "A manifest of canaries was expected by this audit, and none is named; set --kdmem-canaries or"
            " kdmem_canaries to the file that `kdmem canaries make` wrote, or pass manifest=."
        )
    return MANIFEST.read(local_path(str(named)))


def open_audit(request: pytest.FixtureRequest, item: pytest.Item, session: AuditSession) -> Audit:
    """Open the audit of a test: everything that its tests declare is checked before anything is loaded.

    Raises:
        KdmemError: Something declared is missing, of another kind, or does not fit the rest.
    """
    scope = scope_of(item)
    audit = audit_by_settings(session.settings, scope.place, scope.student, session.cache_dir, session.progress)
    tests = [item, *(test for test in request.session.items if is_audit(test) and scope_of(test).audit == audit.name)]
    used = _used_fixtures(tests)
    declared = ((role, request.getfixturevalue(role)) for role in ROLES if role in used)
    declare(audit, declared, compares=not used.isdisjoint(("inheritance", "predicted_risk")))
    return audit


def _used_fixtures(tests: Iterable[pytest.Item]) -> set[str]:
    """Return the names of all fixtures that an audit's tests use, themselves or by way of this plugin's."""
    names = {name for test in tests for name in getattr(test, "fixturenames", ())}
    return names.union(*(roles for fixture, roles in ROLES_USED_BY.items() if fixture in names))


def given_or_declared(role: str, given: Any, request: pytest.FixtureRequest) -> Any:
    """Return what a test passes for a role, or else what its audit declares."""
    from pytest_kdmem.auditing.opening import checked

    return checked(role, given if given is not None else request.getfixturevalue(role))
