"""The fixtures that declare audits and measure what they recite; each is a few lines over `audit` and `distill`.

PYTEST_DONT_REWRITE: loaded in every run of pytest, and without an assert.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_kdmem.specs.roles import DATA_ROLES, MODEL_ROLES

if TYPE_CHECKING:
    from pytest_kdmem.auditing.audit import Audit
    from pytest_kdmem.auditing.regression.accepted import Accepted
    from pytest_kdmem.engines.protocol import Metrics
    from pytest_kdmem.metrics.inheritance import Inheritance
    from pytest_kdmem.metrics.memorization import Memorization
    from pytest_kdmem.plugin.student import Student
    from pytest_kdmem.risk.predicted import PredictedRisk
    from pytest_kdmem.specs.declared import Model, Thresholds, TrainingSet


def _role_fixture(role: str) -> Any:
    @pytest.fixture(scope="session", name=role)
    def declared(request: pytest.FixtureRequest) -> Model | TrainingSet:
        if hasattr(request, "param"):  # one of several students, for each of which the test runs
            student: Student = request.param
            return student.model
        from pytest_kdmem.plugin.role_settings import spec_from_settings
        from pytest_kdmem.plugin.session import session_of

        session = session_of(request.config)
        if role == "student" and session.running_test is not None:
            from pytest_kdmem.plugin.students import check_is_one

            check_is_one(session.running_test, session)
        return spec_from_settings(role, session.settings)

    declared.__doc__ = f"The audit's {role.replace('_', ' ')}, from the settings unless the audit declares it."
    return declared


teacher, student, baseline = (_role_fixture(role) for role in MODEL_ROLES)
training_set, control_set, teacher_set = (_role_fixture(role) for role in DATA_ROLES)


@pytest.fixture(scope="session")
def students(pytestconfig: pytest.Config) -> dict[str, Model]:
    """The audit's students by name, from the settings unless the audit declares several."""
    from pytest_kdmem.plugin.role_settings import overridden_student, students_from_settings
    from pytest_kdmem.plugin.session import session_of

    settings = session_of(pytestconfig).settings
    return {name: overridden_student(model, settings) for name, model in students_from_settings(settings).items()}


@pytest.fixture(scope="session")
def thresholds(pytestconfig: pytest.Config) -> Thresholds:
    """The thresholds of the settings that a release must meet."""
    from pytest_kdmem.plugin.session import session_of
    from pytest_kdmem.specs.declared import Thresholds

    settings = session_of(pytestconfig).settings
    return Thresholds(**{field.name: settings[field.name] for field in fields(Thresholds)})


@pytest.fixture(scope="session")
def _kdmem_audit(request: pytest.FixtureRequest) -> Audit:
    """The audit of the running test; torn down, with all that was made of it, before a test of another one."""
    from pytest_kdmem.base.progress import status_of
    from pytest_kdmem.plugin.session import session_of

    with status_of(session_of(request.config).progress, "opening the audit"):
        from pytest_kdmem.plugin.audit_setup import audit_of_running_test

        return audit_of_running_test(request)


@pytest.fixture(scope="session")
def memorization(_kdmem_audit: Audit, request: pytest.FixtureRequest) -> Callable[..., Memorization]:
    """``memorization(model, training_set=None, *, metrics="verdict") → Memorization``.

    Measures what the model memorized of the audit's training set, or of another one that is given. ``metrics="all"``
    adds loss, log-probability, entropy, and what is recited from prefixes of other lengths.
    """

    def memorization(
        model: Model, training_set: TrainingSet | None = None, *, metrics: Metrics | None = None
    ) -> Memorization:
        from pytest_kdmem.auditing.opening import checked
        from pytest_kdmem.plugin.audit_setup import given_or_declared, measuring

        with measuring(_kdmem_audit, request.config):
            checked("student", model)
            scored_set = given_or_declared("training_set", training_set, request)
            # The control set is small, and is there for its loss.
            scored_metrics = metrics or ("all" if scored_set == _kdmem_audit.control_set else "verdict")
            return _kdmem_audit.memorization(model, scored_set, scored_metrics)

    return memorization


@pytest.fixture(scope="session")
def inheritance(_kdmem_audit: Audit, request: pytest.FixtureRequest) -> Callable[..., Inheritance]:
    """``inheritance(*, teacher=None, baseline=None, student=None, training_set=None) → Inheritance``.

    Measures what the student memorized of its teacher's secrets, and how much less than the baseline it memorized. An
    argument that is None is the audit's own.
    """

    def inheritance(
        *,
        teacher: Model | None = None,
        baseline: Model | None = None,
        student: Model | None = None,
        training_set: TrainingSet | None = None,
    ) -> Inheritance:
        from pytest_kdmem.plugin.audit_setup import given_or_declared, measuring

        with measuring(_kdmem_audit, request.config):
            return _kdmem_audit.inheritance(
                given_or_declared("teacher", teacher, request),
                given_or_declared("baseline", baseline, request),
                given_or_declared("student", student, request),
                given_or_declared("training_set", training_set, request),
            )

    return inheritance


@pytest.fixture(scope="session")
def predicted_risk(_kdmem_audit: Audit, request: pytest.FixtureRequest) -> Callable[..., PredictedRisk]:
    """``predicted_risk(training_set=None, *, teacher=None, baseline=None, labels_from=None, predictor=None,
    threshold=None) → PredictedRisk``.

    Predicts which examples of the training set a student would memorize, for which no student is needed. An argument
    that is None is the audit's own, or that of the settings.
    """

    def predicted_risk(
        training_set: TrainingSet | None = None,
        *,
        teacher: Model | None = None,
        baseline: Model | None = None,
        labels_from: Model | str | Path | None = None,
        predictor: str | Path | None = None,
        threshold: float | None = None,
    ) -> PredictedRisk:
        from pytest_kdmem.plugin.audit_setup import choose_label_source, given_or_declared, measuring
        from pytest_kdmem.plugin.session import session_of

        settings = session_of(request.config).settings
        with measuring(_kdmem_audit, request.config):
            return _kdmem_audit.predicted_risk(
                given_or_declared("teacher", teacher, request),
                given_or_declared("baseline", baseline, request),
                given_or_declared("training_set", training_set, request),
                choose_label_source(settings, labels_from, predictor),
                settings["risk_threshold"] if threshold is None or settings.overrides("risk_threshold") else threshold,
            )

    return predicted_risk


@pytest.fixture(scope="session")
def accepted(_kdmem_audit: Audit, pytestconfig: pytest.Config) -> Accepted:
    """The accepted figures of this audit: write ``rate <= accepted``; ``accepted + 0.001`` allows a worse figure."""
    from pytest_kdmem.plugin.audit_setup import accepted_of
    from pytest_kdmem.plugin.session import session_of

    return accepted_of(_kdmem_audit, session_of(pytestconfig).settings)


@pytest.fixture(scope="session")
def distiller(request: pytest.FixtureRequest) -> Callable[..., Model]:
    """``distiller(*, init, teacher=None, training_set=None, held_out=None, out=None, **settings) → Model``.

    Trains a model, or returns the one that it trained before with the same settings. The settings are those of
    `Recipe` and `Execution`.
    """

    def distiller(
        *,
        init: Model,
        teacher: Model | None = None,
        training_set: TrainingSet | None = None,
        held_out: TrainingSet | None = None,
        out: str | Path | None = None,
        **settings: Any,
    ) -> Model:
        from pytest_kdmem.base.progress import status_of
        from pytest_kdmem.plugin.session import session_of

        with status_of(session_of(request.config).progress, "loading PyTorch and transformers"):
            from pytest_kdmem.plugin.distilling import distill_for_audit

            return distill_for_audit(
                request,
                init=init,
                teacher=teacher,
                training_set=training_set,
                held_out=held_out,
                out=out,
                settings=settings,
            )

    return distiller
