"""What an audit has scored at one moment, from which its record is built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pytest_kdmem.auditing.memberships import MeasuredMembership
from pytest_kdmem.canaries.measured import MeasuredCanaries
from pytest_kdmem.metrics.inheritance import Inheritance
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.metrics.near_verbatim import NearVerbatim
from pytest_kdmem.metrics.sampled import Extractable
from pytest_kdmem.metrics.specific import Specific
from pytest_kdmem.risk.predicted import PredictedRisk
from pytest_kdmem.scoring.confirmation import Confirmation
from pytest_kdmem.specs.declared import Extraction, Model
from pytest_kdmem.specs.roles import TEACHER_SET_NAME
from pytest_kdmem.specs.run_card import RunCard


@dataclass(frozen=True)
class ScoredAudit:
    """What an audit has scored at one moment.

    Attributes:
        name: Name of the audit.
        extraction: Lengths in tokens.
        confidence: Confidence level of each one-sided bound.
        memorizations: What models memorized of training sets, by their label in the report.
        control_memorizations: What models memorized of the control set, by their subject in the report.
        run_cards: Run card of each model; None if it has no card that can be trusted.
        confirmations: Engine checks by label.
        inheritance: The audit's own inheritance; None if no test asked for one.
        further_inheritances: Inheritances of other models or sets, by the labels of teacher, baseline and student.
        predicted_risk: The audit's own predicted risk; None if no test asked for one.
        warnings: Warnings in the order in which they arose.
        student: Name of the student if the audit is of one of several.
        memberships: What attacks told, in the order in which tests asked.
        near_verbatim: What models recite nearly, as far as tests asked for it.
        sampled: What may be extracted from models under samplers, as far as tests asked for it.
        specific: What models recite only after its own prefix, as far as tests asked for it.
        teacher_set_inheritance: Inheritance over the teacher set; None if no test asked for it.
        canaries: What models show of canaries, as far as tests asked for it.
    """

    name: str
    extraction: Extraction
    confidence: float
    memorizations: Mapping[str, Memorization]
    control_memorizations: Mapping[str, Memorization]
    run_cards: Mapping[Model, RunCard | None]
    confirmations: Mapping[str, Confirmation]
    inheritance: Inheritance | None
    predicted_risk: PredictedRisk | None
    warnings: tuple[str, ...]
    student: str = ""
    memberships: tuple[MeasuredMembership, ...] = ()
    near_verbatim: tuple[NearVerbatim, ...] = ()
    sampled: tuple[Extractable, ...] = ()
    specific: tuple[Specific, ...] = ()
    teacher_set_inheritance: Inheritance | None = None
    canaries: tuple[MeasuredCanaries, ...] = ()
    further_inheritances: Mapping[tuple[str, str, str], Inheritance] = field(default_factory=dict)

    @property
    def own_memorizations(self) -> dict[str, Memorization]:
        """Those over the audit's own training set."""
        return self._over("")

    @property
    def teacher_set_memorizations(self) -> dict[str, Memorization]:
        """Those over the audit's teacher set."""
        return self._over(TEACHER_SET_NAME)

    def _over(self, other_set: str) -> dict[str, Memorization]:
        return {label: each for label, each in self.memorizations.items() if each.other_set == other_set}
