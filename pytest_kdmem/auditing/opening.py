"""Opens an audit: its settings, and what it declares for each role, checked before anything is loaded."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pytest_kdmem.auditing.audit import Audit
from pytest_kdmem.base.progress import Progress
from pytest_kdmem.corpus.overlap import check_control, check_teacher_set
from pytest_kdmem.corpus.sources import check_source
from pytest_kdmem.errors import SpecError
from pytest_kdmem.errors.harmless import quoted
from pytest_kdmem.scoring.score import check_positions
from pytest_kdmem.specs.checkpoint import Checkpoint, open_checkpoint
from pytest_kdmem.specs.declared import Model, TrainingSet
from pytest_kdmem.specs.roles import MODEL_ROLES
from pytest_kdmem.specs.runtime import SettingValues, extraction, run_settings
from pytest_kdmem.specs.secret_settings import SecretSettings
from pytest_kdmem.specs.students import student_audit_name
from pytest_kdmem.specs.tokenizer_content import check_same_tokenizer


def audit_by_settings(values: SettingValues, place: str, student: str, cache_dir: Path, progress: Progress) -> Audit:
    """Return an audit that declares nothing yet.

    Args:
        values: Settings of the run.
        place: Where the audit is declared; its name in reports, to which that of the student is added.
        student: Name of the student if several are declared there; empty otherwise.
        cache_dir: Folder of the score store.
        progress: Shows the progress of scoring.
    """
    return Audit(
        name=student_audit_name(place, student),
        student=student,
        extraction=extraction(values),
        run=run_settings(values),
        confidence=values["confidence"],
        confirms=values["confirm"] or False,
        cache_dir=cache_dir,
        progress=progress,
        shows_text=values["show_text"] or False,
        secret_settings=SecretSettings(values["phone_regions"], values["ner_model"]),
        accepted_provenance=frozenset((values["accept_provenance"] or "").split(",")),
        min_scored_share=values["min_scored_share"],
        max_short_copies=values["max_short_copies"],
    )


def declare(audit: Audit, declared: Iterable[tuple[str, object]], *, compares: bool) -> None:
    """Check what an audit declares for its roles, and keep it.

    Args:
        audit: An audit that declares nothing yet.
        declared: Role and value, models before sets. Each is checked before the next one is asked for, as a model
            may be trained only then.
        compares: Whether models will be compared, for which they must have one tokenizer.

    Raises:
        KdmemError: Something declared is missing, of another kind, or does not fit the rest.
    """
    checkpoints: dict[str, Checkpoint] = {}
    for role, value in declared:
        checked(role, value)
        if isinstance(value, Model):
            checkpoint = open_checkpoint(value, offline=audit.run.offline)
            check_positions(value, checkpoint, audit.extraction)
            audit.roles[role] = value
            checkpoints[f"{role} ({value.source})"] = checkpoint
        elif isinstance(value, TrainingSet):
            check_source(value)
            setattr(audit, role, value)
    if compares:
        check_same_tokenizer(checkpoints)
    if audit.training_set is not None and audit.control_set is not None:
        check_control(audit.training_set, audit.control_set, offline=audit.run.offline)
    if audit.teacher_set is not None:
        check_teacher_set(audit.teacher_set, audit.training_set, audit.control_set, offline=audit.run.offline)


def checked(role: str, value: Any) -> Any:
    """Return a value that is declared or passed for a role.

    Raises:
        SpecError: It is of another kind than the role takes.
    """
    kind = Model if role in MODEL_ROLES else TrainingSet
    if not isinstance(value, kind):
        raise SpecError(f"A {kind.__name__} was expected as {role}; found {quoted(value)}: write {kind.__name__}(…).")
    return value
