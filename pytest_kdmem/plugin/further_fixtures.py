"""The fixtures that ask of a model more than what it recites exactly.

PYTEST_DONT_REWRITE: loaded in every run of pytest, and without an assert.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_kdmem.auditing.audit import Audit
    from pytest_kdmem.canaries.measured import MeasuredCanaries
    from pytest_kdmem.metrics.attacks import Attack
    from pytest_kdmem.metrics.membership import Membership
    from pytest_kdmem.metrics.near_verbatim import NearVerbatim
    from pytest_kdmem.metrics.specific import Specific
    from pytest_kdmem.specs.declared import Model, TrainingSet


@pytest.fixture(scope="session")
def near_verbatim(_kdmem_audit: Audit, request: pytest.FixtureRequest) -> Callable[..., NearVerbatim]:
    """``near_verbatim(model, training_set=None, *, delta=0.1, run=None) → NearVerbatim``.

    Measures what the model recites with a share of at most ``delta`` edits, or with ``run`` tokens in a row.
    """

    def near_verbatim(
        model: Model, training_set: TrainingSet | None = None, *, delta: float = 0.1, run: int | None = None
    ) -> NearVerbatim:
        from pytest_kdmem.auditing.opening import checked
        from pytest_kdmem.plugin.audit_setup import given_or_declared, measuring
        from pytest_kdmem.specs.nearness import Nearness

        with measuring(_kdmem_audit, request.config):
            scored_set = given_or_declared("training_set", training_set, request)
            nearness = Nearness(delta, run)
            memorization = _kdmem_audit.memorization(checked("student", model), scored_set)
            return _kdmem_audit.beside.near_verbatim(memorization, nearness)

    return near_verbatim


@pytest.fixture(scope="session")
def specific_memorization(_kdmem_audit: Audit, request: pytest.FixtureRequest) -> Callable[..., Specific]:
    """``specific_memorization(model, training_set=None, *, n=100, p=0.5) → Specific``.

    Measures what the model memorized and does not say without the example's own prefix.
    """

    def specific_memorization(
        model: Model, training_set: TrainingSet | None = None, *, n: int = 100, p: float = 0.5
    ) -> Specific:
        from pytest_kdmem.auditing.opening import checked
        from pytest_kdmem.plugin.audit_setup import given_or_declared, measuring

        with measuring(_kdmem_audit, request.config):
            scored_set = given_or_declared("training_set", training_set, request)
            memorization = _kdmem_audit.memorization(checked("student", model), scored_set)
            return _kdmem_audit.beside.specific_memorization(memorization, n=n, p=p)

    return specific_memorization


@pytest.fixture(scope="session")
def membership(_kdmem_audit: Audit, request: pytest.FixtureRequest) -> Callable[..., Membership]:
    """``membership(model, training_set=None, control_set=None, *, attack=None, reference=None) → Membership``.

    Measures how well attacks tell the training set from the control set. ``attack`` is one of loss, zlib, min_k,
    min_k_plus and calibrated, or None for the strongest; ``reference`` is the model that calibrates the loss.
    """

    def membership(
        model: Model,
        training_set: TrainingSet | None = None,
        control_set: TrainingSet | None = None,
        *,
        attack: Attack | None = None,
        reference: Model | None = None,
    ) -> Membership:
        from pytest_kdmem.auditing.memberships import MembershipRequest
        from pytest_kdmem.auditing.opening import checked
        from pytest_kdmem.plugin.audit_setup import given_or_declared, measuring

        with measuring(_kdmem_audit, request.config):
            return _kdmem_audit.membership(
                MembershipRequest(
                    checked("student", model),
                    given_or_declared("training_set", training_set, request),
                    given_or_declared("control_set", control_set, request),
                    attack,
                    checked("baseline", reference) if reference is not None else None,
                )
            )

    return membership


@pytest.fixture(scope="session")
def canaries(_kdmem_audit: Audit, request: pytest.FixtureRequest) -> Callable[..., MeasuredCanaries]:
    """``canaries(model, training_set=None, *, manifest=None) → MeasuredCanaries``.

    Measures what the model shows of random strings in the training set: ``exposure(copies)`` in bits,
    ``tpr(fpr, copies)`` and ``recited(copies)``. ``manifest`` is the file that ``kdmem canaries make`` wrote, or None
    for that of the settings.
    """

    def canaries(
        model: Model, training_set: TrainingSet | None = None, *, manifest: str | Path | None = None
    ) -> MeasuredCanaries:
        from pytest_kdmem.auditing.opening import checked
        from pytest_kdmem.plugin.audit_setup import choose_manifest, given_or_declared, measuring
        from pytest_kdmem.plugin.session import session_of

        with measuring(_kdmem_audit, request.config):
            scored_set = given_or_declared("training_set", training_set, request)
            registered = choose_manifest(session_of(request.config).settings, manifest)
            return _kdmem_audit.canaries(checked("student", model), scored_set, registered)

    return canaries
