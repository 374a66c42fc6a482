"""What an audit keeps while it runs: what was scored and derived, from which its record is built at any moment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from pytest_kdmem.auditing.declared_audit import DeclaredAudit
from pytest_kdmem.auditing.memberships import MeasuredMembership, MembershipRequest
from pytest_kdmem.auditing.scored_audit import ScoredAudit
from pytest_kdmem.auditing.shared_notes import with_shared_notes
from pytest_kdmem.engines.protocol import Metrics
from pytest_kdmem.metrics.inheritance import Inheritance
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.risk.predicted import PredictedRisk
from pytest_kdmem.scoring.confirmation import Confirmation
from pytest_kdmem.specs.declared import Model, TrainingSet
from pytest_kdmem.specs.run_card import RunCard


@dataclass
class ScoredSoFar:
    """What was scored and derived until now.

    Attributes:
        memorizations: By model, digests of its weights and of the training set's source, training set, and metrics.
        confirmations: Engine checks by label.
        inheritance: The audit's own inheritance; None if no test asked for one.
        further_inheritances: Inheritances of other models or sets, by the labels of teacher, baseline and student.
        teacher_set_inheritance: The audit's own inheritance over its teacher set; None if no test asked for one.
        predicted_risk: The audit's own predicted risk; None if no test asked for one.
        memberships: What attacks told, by what a test asked.
    """

    memorizations: dict[tuple[Model, str, str, TrainingSet, Metrics], Memorization] = field(default_factory=dict)
    confirmations: dict[str, Confirmation] = field(default_factory=dict)
    inheritance: Inheritance | None = None
    further_inheritances: dict[tuple[str, str, str], Inheritance] = field(default_factory=dict)
    teacher_set_inheritance: Inheritance | None = None
    predicted_risk: PredictedRisk | None = None
    memberships: dict[MembershipRequest, MeasuredMembership] = field(default_factory=dict)
    _warnings: dict[str, None] = field(default_factory=dict)  # a set that keeps its order

    def warn(self, warnings: Iterable[str]) -> None:
        """Keep warnings, each once and in the order in which they arose."""
        self._warnings |= dict.fromkeys(warnings)

    def keep(
        self,
        inheritance: Inheritance,
        labels: tuple[str, str, str],
        *,
        of_audit: bool,
        over_own: bool,
        over_teacher_set: bool,
    ) -> None:
        """Keep an inheritance for the report, which has the audit's own even if a test compares other models later.

        Args:
            inheritance: The inheritance.
            labels: Labels of teacher, baseline and student.
            of_audit: Whether it is of the models that the audit declares.
            over_own: Whether it is over the training set that the audit declares.
            over_teacher_set: Whether it is over its teacher set.
        """
        if over_teacher_set:
            if of_audit or self.teacher_set_inheritance is None:
                self.teacher_set_inheritance = inheritance
            return
        is_own = of_audit and over_own
        if not is_own:
            self.further_inheritances[labels] = inheritance
        if is_own or self.inheritance is None:
            self.inheritance = inheritance

    def moment(self, audit: DeclaredAudit, run_cards: Mapping[Model, RunCard | None]) -> ScoredAudit:
        """Return all of it as a value that no later scoring changes; a model has a row for each of its roles."""
        rows = [
            (subject, memorization)
            for memorization in self.memorizations.values()
            for subject in audit.roles_of(memorization.scores.model) or [memorization.subject]
        ]
        trained = [(subject, each) for subject, each in rows if each.scores.training_set != audit.control_set]
        held_out = [(subject, each) for subject, each in rows if each.scores.training_set == audit.control_set]
        of_roles = [replace(memorization, subject=subject) for subject, memorization in trained]
        return ScoredAudit(
            name=audit.name,
            extraction=audit.extraction,
            confidence=audit.confidence,
            memorizations={memorization.label: memorization for memorization in of_roles},
            control_memorizations=dict(held_out),
            run_cards=dict(run_cards),
            confirmations=dict(self.confirmations),
            inheritance=self.inheritance,
            further_inheritances=dict(self.further_inheritances),
            predicted_risk=self.predicted_risk,
            warnings=with_shared_notes(self._warnings),
            student=audit.student,
            memberships=tuple(self.memberships.values()),
            teacher_set_inheritance=self.teacher_set_inheritance,
        )
