"""The fixtures that audits use; each is a few lines over `audit` and `distill`.

PYTEST_DONT_REWRITE: loaded in every run of pytest, and without an assert.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_kdmem.settings import Settings

if TYPE_CHECKING:
    from pytest_kdmem.audit import Audit
    from pytest_kdmem.engines.protocol import Metrics
    from pytest_kdmem.inheritance import Inheritance
    from pytest_kdmem.memorization import Memorization
    from pytest_kdmem.spec import Model, Thresholds, TrainingSet

SETTINGS = pytest.StashKey[Settings]()
AUDIT = pytest.StashKey["Audit"]()

MODEL_ROLES = ("teacher", "student", "baseline")
DATA_ROLES = ("training_set", "control_set")
ROLES = MODEL_ROLES + DATA_ROLES
# Settings that a run may put in the place of what a training set (False) or a model (True) declares.
SETTINGS_OF = {False: ("text_column", "form", "sample", "seed"), True: ("dtype", "trust_remote_code")}
# A test that asks for one of these is an audit, and stands in the report.
AUDIT_FIXTURES = ("memorization", "inheritance", "distiller", "thresholds")


def overridden(declared: Model | TrainingSet, role: str, settings: Settings) -> Model | TrainingSet:
    """What an audit declared, with all that was set for this run in its place, and the rest as declared."""
    changed = {key: settings[key] for key in SETTINGS_OF[role in MODEL_ROLES] if settings.overrides(key)}
    if role == "control_set":
        changed.pop("sample", None)  # held-out text is read whole
    if settings.overrides(role):
        changed |= {"source": settings[role], "revision": None}
    return replace(declared, **changed)


def spec_from_settings(role: str, settings: Settings) -> Model | TrainingSet:
    """What the settings say of a role.

    Raises:
        SpecError: they say nothing.
    """
    from pytest_kdmem.errors import SpecError
    from pytest_kdmem.spec import Model, TrainingSet

    source = settings[role]
    if source is None:
        flag = role.replace("_", "-")
        raise SpecError(
            f"A {flag.replace('-', ' ')} was expected by this audit, and none is declared: write a fixture {role!r},"
            f" or set --kdmem-{flag} or kdmem_{role}."
        )
    if role in MODEL_ROLES:
        return Model(source, dtype=settings["dtype"], trust_remote_code=settings["trust_remote_code"] or False)
    sample = settings["sample"] if role == "training_set" else None
    return TrainingSet(
        source, text_column=settings["text_column"], form=settings["form"], sample=sample, seed=settings["seed"]
    )


def _role(role: str) -> Any:
    @pytest.fixture(scope="session", name=role)
    def declared(pytestconfig: pytest.Config) -> Model | TrainingSet:
        return spec_from_settings(role, pytestconfig.stash[SETTINGS])

    declared.__doc__ = f"The audit's {role.replace('_', ' ')}, from the settings unless the audit declares it."
    return declared


teacher, student, baseline = (_role(role) for role in MODEL_ROLES)
training_set, control_set = (_role(role) for role in DATA_ROLES)


def _checked(role: str, value: Any) -> Any:
    """Raise SpecError unless a role, or what was passed for it, is of its kind."""
    from pytest_kdmem.errors import SpecError
    from pytest_kdmem.spec import Model, TrainingSet

    kind = Model if role in MODEL_ROLES else TrainingSet
    if not isinstance(value, kind):
        raise SpecError(f"A {kind.__name__} was expected as {role}; found {value!r}: write {kind.__name__}(…).")
    return value


@pytest.fixture(scope="session")
def thresholds(pytestconfig: pytest.Config) -> Thresholds:
    """What the settings say a release must meet."""
    from pytest_kdmem.spec import Thresholds

    settings = pytestconfig.stash[SETTINGS]
    return Thresholds(
        max_memorization_rate=settings["max_memorization_rate"],
        max_inheritance_ratio=settings["max_inheritance_ratio"],
        min_reduction=settings["min_reduction"],
    )


@pytest.fixture(scope="session")
def _kdmem_audit(request: pytest.FixtureRequest) -> Iterator[Audit]:
    """The audit under way. Everything declared is looked at before anything is loaded."""
    from pytest_kdmem.audit import Audit, check_control
    from pytest_kdmem.checkpoint import open_checkpoint
    from pytest_kdmem.corpus.sources import check_source
    from pytest_kdmem.inheritance import check_same_tokenizer
    from pytest_kdmem.progress import progress_of
    from pytest_kdmem.scoring import RunSettings, check_positions
    from pytest_kdmem.spec import Extraction

    config = request.config
    settings = config.stash[SETTINGS]
    used = {name for item in request.session.items for name in getattr(item, "fixturenames", ())}
    if "inheritance" in used:
        used |= {*MODEL_ROLES, "training_set"}
    if "memorization" in used:
        used.add("training_set")
    extraction = Extraction(*(settings[f"{part}_tokens"] for part in ("prefix", "suffix", "window")))
    audit = Audit(
        extraction=extraction,
        run=RunSettings(
            engine=settings["engine"],
            device=settings["device"],
            dtype=settings["dtype"],
            batch_size=settings["batch_size"],
            offline=settings["offline"] or False,
        ),
        confidence=settings["confidence"],
        confirms=settings["confirm"] or False,
        cache_dir=None if settings["no_cache"] else settings.cache_dir,
        progress=progress_of(config),
    )
    tokenizers: dict[str, str] = {}
    for role in MODEL_ROLES:
        if role in used:
            model = _checked(role, request.getfixturevalue(role))
            checkpoint = open_checkpoint(model, offline=audit.run.offline)
            check_positions(model, checkpoint, extraction)
            audit.roles[role] = model
            tokenizers[f"{role} ({model.source})"] = checkpoint.tokenizer_digest
    if "inheritance" in used:
        check_same_tokenizer(tokenizers)
    for role in DATA_ROLES:
        if role in used:
            data = _checked(role, request.getfixturevalue(role))
            check_source(data)
            setattr(audit, role, data)
    if audit.training_set is not None and audit.control_set is not None:
        check_control(audit.training_set, audit.control_set)
    config.stash[AUDIT] = audit
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
        _checked("student", model)
        chosen = training_set if training_set is not None else request.getfixturevalue("training_set")
        _checked("training_set", chosen)
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
        def chosen(role: str, given: Any) -> Any:
            return _checked(role, given if given is not None else request.getfixturevalue(role))

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
