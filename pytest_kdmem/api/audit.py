"""Audits models from Python, with the gates, the checks and the record of an audit under pytest."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

from pytest_kdmem.api.measure import check_gates, compares, measured_gates
from pytest_kdmem.api.report import AuditReport
from pytest_kdmem.api.settings import OF_RISK, AuditSettings, in_python, setting_values
from pytest_kdmem.auditing.opening import audit_by_settings, declare
from pytest_kdmem.auditing.report import Report
from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.students import with_same_models_told
from pytest_kdmem.base.import_notices import leave_out_notices
from pytest_kdmem.base.progress import Progress, progress_for_onlooker, status_of
from pytest_kdmem.errors import KdmemError, SpecError
from pytest_kdmem.errors.harmless import harmless, named
from pytest_kdmem.specs.declared import Model, Thresholds, TrainingSet
from pytest_kdmem.specs.gates import named_thresholds, split_references
from pytest_kdmem.specs.roles import ROLES
from pytest_kdmem.specs.students import named_students

ModelSource = Model | str | Path
SetSource = TrainingSet | str | Path
Declared = dict[str, Model | TrainingSet]
# The gate that needs no student: it is held once, however many students there are.
OF_NO_STUDENT = "max_predicted_risk"


def audit(
    *,
    student: ModelSource | None = None,
    students: Mapping[str, ModelSource] | Iterable[ModelSource] | None = None,
    teacher: ModelSource | None = None,
    baseline: ModelSource | None = None,
    training_set: SetSource,
    control_set: SetSource | None = None,
    teacher_set: SetSource | None = None,
    gates: Mapping[str, float | str] | Thresholds | None = None,
    **settings: Unpack[AuditSettings],
) -> AuditReport:
    """Score models over their training set, evaluate gates on what they recite, and return the report.

    A gate that does not hold raises nothing: ``report.passed`` is False then, and ``report.check()`` raises.
    ``report.passed`` is None if no gate was named.

    Args:
        student: The model to be released; a `Model`, a folder or a hub id, as are the other models.
        students: Several students, by name or in a list: each gate is evaluated for each of them, and the report begins
            with a table of them.
        teacher: The model that the student is distilled from.
        baseline: A model of the student's size that is fine-tuned without a teacher.
        training_set: What the models are trained on; a `TrainingSet`, or its source.
        control_set: Text that no model is trained on.
        teacher_set: Text that the teacher is trained on and the student is not. Examples that occur in the training set
            are left out of it.
        gates: Thresholds by name: ``max_memorization_rate``, ``max_inheritance_ratio``, ``min_reduction`` and
            ``max_predicted_risk``; of the student alone ``max_near_verbatim_rate`` (a tenth of the tokens edited),
            ``max_membership_tpr`` (at 1 % false positives) and ``max_membership_auc`` over the control set, and
            ``max_canary_exposure`` in bits, for each number of copies of the setting ``canaries``. Each of the latter
            four may name a model in place of a number, ``"baseline"`` or ``"teacher"``: the student's figure must then
            be shown to be at most that of this model, for membership and canaries by a paired test over the same
            examples. Only those that are named are evaluated; a `Thresholds` names all of its own.
        settings: Settings by the names that they have under pytest, such as ``window_tokens``, ``device``, ``dtype``
            and ``cache_dir``. Neither the environment nor a configuration is read.

    Raises:
        SpecError: Something is declared wrongly, or a gate needs a model that is not given.
        KdmemError: A model or set cannot be read or scored, or is not what it is audited as.
    """
    if student is not None and students is not None:
        raise SpecError("Either student or students was expected; found both: leave one of them out.")
    values = setting_values(settings)
    numbers, references = split_references(gates if gates is not None else {})
    thresholds: dict[str, float | str] = {**named_thresholds(numbers, with_further=True), **references}
    models = {"teacher": teacher, "student": student, "baseline": baseline}
    sets = {"training_set": training_set, "control_set": control_set, "teacher_set": teacher_set}
    declared: Declared = {role: _model(value, settings) for role, value in models.items() if value is not None}
    declared |= {role: _training_set(value) for role, value in sets.items() if value is not None}
    by_name = {} if students is None else named_students(students)
    given_beside = [*["student"] * bool(by_name), *["canaries"] * (values["canaries"] is not None)]
    check_gates(thresholds, [*declared, *given_beside])
    _check_used(settings, thresholds, has_students=bool(by_name))
    given = {key: _shown(value) for key, value in settings.items()} | thresholds
    leave_out_notices()
    progress = progress_for_onlooker()
    with _settings_as_arguments(), _cache_dir(values) as cache_dir, status_of(progress, "opening the audit"):
        run = _Run(values, given, cache_dir, progress)
        if not by_name:
            return AuditReport(Report((run.result("", declared, thresholds),)))
        given_students = {name: _model(model, settings) for name, model in by_name.items()}
        return AuditReport(Report(with_same_models_told(run.results(given_students, declared, thresholds))))


@dataclass(frozen=True)
class _Run:
    """Audits of one call.

    Attributes:
        values: Every setting.
        given: The settings that were given, as reports show them.
        cache_dir: Folder of the score store.
        progress: Shows what is loaded and scored.
    """

    values: Mapping[str, Any]
    given: Mapping[str, Any]
    cache_dir: Path
    progress: Progress

    def results(
        self,
        by_name: Mapping[str, Model],
        declared: Mapping[str, Model | TrainingSet],
        thresholds: Mapping[str, float | str],
    ) -> list[AuditResult]:
        """Score what is declared with each of several students; the gate that needs none of them is held before."""
        shared = {name: value for name, value in thresholds.items() if name == OF_NO_STUDENT}
        own = {name: value for name, value in thresholds.items() if name != OF_NO_STUDENT}
        results = [self.result("", declared, shared)] if shared else []
        return results + [self.result(name, {**declared, "student": model}, own) for name, model in by_name.items()]

    def result(
        self, student_name: str, declared: Mapping[str, Model | TrainingSet], thresholds: Mapping[str, float | str]
    ) -> AuditResult:
        """Score what is declared, and return the record with the gates."""
        audit = audit_by_settings(self.values, "", student_name, self.cache_dir, self.progress)
        declare(
            audit,
            ((role, declared[role]) for role in ROLES if role in declared),
            compares=compares(declared, thresholds),
        )
        held = measured_gates(audit, thresholds, self.values)
        gates = [replace(gate, next_step=in_python(gate.next_step)) for gate in held]
        return audit.result(self.given, gates)


def _model(value: ModelSource, settings: Mapping[str, Any]) -> Model:
    model = value if isinstance(value, Model) else Model(os.fspath(value))
    overriding = {key: settings[key] for key in ("dtype", "trust_remote_code") if key in settings}
    return replace(model, **overriding)


def _training_set(value: SetSource) -> TrainingSet:
    return value if isinstance(value, TrainingSet) else TrainingSet(os.fspath(value))


def _check_used(settings: Mapping[str, Any], thresholds: Mapping[str, float | str], *, has_students: bool) -> None:
    """Raise SpecError if no gate is of what is declared: of students, or of a setting."""
    if has_students and [*thresholds] == [OF_NO_STUDENT]:
        raise SpecError(
            f"A gate of each student was expected, and {OF_NO_STUDENT} belongs to none of them; name another gate"
            " beside it, such as max_memorization_rate, or leave students out."
        )
    unused = [key for key in OF_RISK if key in settings]
    if unused and OF_NO_STUDENT not in thresholds:
        raise SpecError(
            f"{unused[0]} was expected to be used by a gate, and none of this audit predicts risk; add"
            f" {OF_NO_STUDENT} to gates, or leave {unused[0]} out."
        )


def _shown(value: Any) -> Any:
    source = value.source if isinstance(value, Model) else value
    return harmless(named(os.fspath(source))) if isinstance(source, str | os.PathLike) else source


@contextmanager
def _settings_as_arguments() -> Iterator[None]:
    """Let errors name settings as arguments."""
    try:
        yield
    except KdmemError as error:
        raise type(error)(in_python(str(error))) from None


@contextmanager
def _cache_dir(values: Mapping[str, Any]) -> Iterator[Path]:
    if not values["no_cache"]:
        yield Path(values["cache_dir"]).expanduser()
        return
    with tempfile.TemporaryDirectory(prefix="kdmem-") as scratch:
        yield Path(scratch)
