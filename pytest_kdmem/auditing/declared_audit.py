"""What one audit declares and by which settings it runs: nothing here opens or scores anything."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from pytest_kdmem.base.progress import Progress
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.roles import MODEL_ROLES, TEACHER_SET_NAME
from pytest_kdmem.specs.runtime import RunSettings
from pytest_kdmem.specs.secret_settings import SecretSettings


@dataclass
class DeclaredAudit:
    """What an audit declares, and how it is run.

    Attributes:
        extraction: Lengths in tokens.
        run: How models are run.
        confidence: Confidence level of each one-sided bound.
        confirms: Whether verdicts are checked with every installed engine.
        cache_dir: Folder of the score store.
        progress: Shows the progress of scoring.
        name: Name of the audit in reports: where it is declared, relative to pytest's root.
        student: Name of the student if the audit is of one of several; the name of the audit ends in it.
        roles: Models that the audit declares, by role.
        training_set: Training set that the audit declares.
        control_set: Control set that the audit declares.
        teacher_set: What only the teacher saw, as the audit declares it.
        shows_text: Whether the report contains the text of recited examples.
        secret_settings: How the text of recited examples is searched for secrets.
        accepted_provenance: Differences between run cards and this audit that are accepted, each as ``role:kind``.
        min_scored_share: Least share of a set's examples that must be long enough to be scored.
        max_short_copies: Greatest number of copies of an example that is too short, with which gates still pass.
    """

    extraction: Extraction
    run: RunSettings
    confidence: float
    confirms: bool
    cache_dir: Path
    progress: Progress
    name: str = ""
    student: str = ""
    roles: dict[str, Model] = field(default_factory=dict)
    training_set: TrainingSet | None = None
    control_set: TrainingSet | None = None
    teacher_set: TrainingSet | None = None
    shows_text: bool = False
    secret_settings: SecretSettings = field(default_factory=SecretSettings)
    accepted_provenance: Collection[str] = ()
    min_scored_share: float = 0.5
    max_short_copies: int = 3

    def subject(self, model: Model) -> str:
        """Return the model's role in this audit, ``student`` if that is one of several; or its source."""
        roles = self.roles_of(model)
        if roles:
            return "student" if "student" in roles else roles[0]
        return f"./{model.source}" if model.source in MODEL_ROLES else model.source

    def roles_of(self, model: Model) -> list[str]:
        """Return the roles that a model plays in this audit; none if it is not declared."""
        return [role for role, declared_model in self.roles.items() if declared_model == model]

    def other_set(self, training_set: TrainingSet) -> str:
        """Return how figures name a set that they are over; empty for the audit's training set and its control set."""
        if training_set == self.teacher_set:
            return TEACHER_SET_NAME
        return "" if self.is_own_set(training_set) else training_set.label

    def must_be_known(self, training_set: TrainingSet) -> bool:
        """Whether a set is one whose text models of this audit learned, so that none of them takes it for noise."""
        is_learned = training_set in (self.training_set or training_set, self.teacher_set)
        return is_learned and training_set != self.control_set

    def is_own_set(self, training_set: TrainingSet) -> bool:
        """Whether this audit declares a set, as training set or as control set; if it declares none, every set."""
        return training_set in (self.training_set or training_set, self.control_set)
