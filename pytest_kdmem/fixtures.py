"""The fixtures that audits use; each is a few lines over `audit` and `distill`.

PYTEST_DONT_REWRITE: loaded in every run of pytest, and without an assert.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_kdmem.audit import Audit
    from pytest_kdmem.engines.protocol import Metrics
    from pytest_kdmem.inheritance import Inheritance
    from pytest_kdmem.memorization import Memorization
    from pytest_kdmem.spec import Model, Thresholds, TrainingSet

AUDIT = pytest.StashKey["Audit"]()

MODEL_ROLES = ("teacher", "student", "baseline")
DATA_ROLES = ("training_set", "control_set")
ROLES = MODEL_ROLES + DATA_ROLES
# A test that asks for one of these, itself or through a fixture of the user's, is an audit and stands in the report.
AUDIT_FIXTURES = ("_kdmem_audit", "memorization", "inheritance", "distiller", "thresholds")


def _role(role: str) -> Any:
    @pytest.fixture(scope="session", name=role)
    def declared(pytestconfig: pytest.Config) -> Model | TrainingSet:
        from pytest_kdmem.declarations import spec_from_settings
        from pytest_kdmem.settings import settings_of

        return spec_from_settings(role, settings_of(pytestconfig))

    declared.__doc__ = f"The audit's {role.replace('_', ' ')}, from the settings unless the audit declares it."
    return declared


teacher, student, baseline = (_role(role) for role in MODEL_ROLES)
training_set, control_set = (_role(role) for role in DATA_ROLES)


@pytest.fixture(scope="session")
def thresholds(pytestconfig: pytest.Config) -> Thresholds:
    """What the settings say a release must meet."""
    from pytest_kdmem.settings import settings_of
    from pytest_kdmem.spec import Thresholds

    settings = settings_of(pytestconfig)
    return Thresholds(
        max_memorization_rate=settings["max_memorization_rate"],
        max_inheritance_ratio=settings["max_inheritance_ratio"],
        min_reduction=settings["min_reduction"],
    )


@pytest.fixture(scope="session")
def _kdmem_audit(request: pytest.FixtureRequest) -> Iterator[Audit]:
    from pytest_kdmem.declarations import open_audit

    audit = open_audit(request)
    request.config.stash[AUDIT] = audit
    yield audit
    audit.close()


@pytest.fixture(scope="session")
def memorization(_kdmem_audit: Audit, request: pytest.FixtureRequest) -> Callable[..., Memorization]:
    """``memorization(model, training_set=None, *, metrics="verdict") → Memorization``.

    Over the audit's training set unless another is given; ``metrics="all"`` adds loss, log-probability and entropy.
    """

    def memorization(
        model: Model, training_set: TrainingSet | None = None, *, metrics: Metrics | None = None
    ) -> Memorization:
        from pytest_kdmem.declarations import checked

        checked("student", model)
        chosen = training_set if training_set is not None else request.getfixturevalue("training_set")
        checked("training_set", chosen)
        # The control set is small and its loss is what it is for.
        wanted = metrics or ("all" if chosen == _kdmem_audit.control_set else "verdict")
        return _kdmem_audit.memorization(model, chosen, wanted)

    return memorization


@pytest.fixture(scope="session")
def inheritance(_kdmem_audit: Audit, request: pytest.FixtureRequest) -> Callable[..., Inheritance]:
    """``inheritance(*, teacher=None, baseline=None, student=None, training_set=None) → Inheritance``.

    What is None is the audit's own.
    """

    def inheritance(
        *,
        teacher: Model | None = None,
        baseline: Model | None = None,
        student: Model | None = None,
        training_set: TrainingSet | None = None,
    ) -> Inheritance:
        from pytest_kdmem.declarations import checked

        def chosen(role: str, given: Any) -> Any:
            return checked(role, given if given is not None else request.getfixturevalue(role))

        return _kdmem_audit.inheritance(
            chosen("teacher", teacher),
            chosen("baseline", baseline),
            chosen("student", student),
            chosen("training_set", training_set),
        )

    return inheritance


@pytest.fixture(scope="session")
def distiller(_kdmem_audit: Audit, request: pytest.FixtureRequest) -> Callable[..., Model]:
    """``distiller(*, init, teacher=None, training_set=None, out=None, **recipe) → Model``.

    Trains, or finds what it trained before. The recipe's arguments are those of `Recipe` (mode, temperature, …).
    """

    def distiller(
        *,
        init: Model,
        teacher: Model | None = None,
        training_set: TrainingSet | None = None,
        out: str | Path | None = None,
        **recipe: Any,
    ) -> Model:
        from pytest_kdmem.distill.recipe import Recipe
        from pytest_kdmem.distill.run import distill_once

        chosen = Recipe(**recipe)
        if teacher is None and chosen.mode != "baseline":
            teacher = request.getfixturevalue("teacher")
        return distill_once(
            chosen,
            init=init,
            teacher=teacher,
            training_set=training_set if training_set is not None else request.getfixturevalue("training_set"),
            out=Path(out) if out is not None else None,
            models_dir=_kdmem_audit.store.root / "models",
            extraction=_kdmem_audit.extraction,
            offline=_kdmem_audit.run.offline,
        )

    return distiller
