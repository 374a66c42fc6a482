"""The run cards of an audit's models, and what they say otherwise than the roles of the models."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from pytest_kdmem.auditing.chat_cards import chat_warnings, template_mismatches
from pytest_kdmem.auditing.provenance import card_mismatches, read_trusted_card, refused_or_warned
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.run_card import RunCard


@dataclass
class RunCards:
    """Reads and checks the run card of each model that an audit scores.

    Attributes:
        extraction: The audit's lengths in tokens.
        offline: Whether models must be opened without a connection.
        accepted: Differences between card and audit that are accepted, each as ``role:kind``.
        cards: Run card of each model; None if it has no card that can be trusted.
    """

    extraction: Extraction
    offline: bool
    accepted: Collection[str] = ()
    cards: dict[Model, RunCard | None] = field(default_factory=dict)

    def read(
        self, memorization: Memorization, roles: Iterable[str], teacher: Model | None, training_set: TrainingSet | None
    ) -> list[str]:
        """Read the card of a model that was scored, and return warnings about it.

        Args:
            memorization: What the model memorized.
            roles: The roles that the audit declares for the model, or its name if there are none.
            teacher: The teacher that the audit declares.
            training_set: The training set that the audit declares.

        Raises:
            SpecError: The card says something else than the audit, and that is not accepted.
        """
        scores = memorization.scores
        card, warnings = read_trusted_card(memorization.subject, scores.model, scores.checkpoint, offline=self.offline)
        self.cards[scores.model] = card
        teacher_digest = open_checkpoint(teacher, offline=self.offline).digest if card and teacher else None
        for role in roles:
            warnings += self.warnings(memorization, role, teacher_digest, training_set)
        return warnings

    def warnings(
        self, memorization: Memorization, role: str, teacher_digest: str | None, training_set: TrainingSet | None
    ) -> list[str]:
        """Return warnings of what the card of a model says otherwise than the role in which the model is compared.

        Raises:
            SpecError: It says something otherwise that is not accepted.
        """
        card = self.cards.get(memorization.scores.model)
        if card is None:
            return []
        subject, scores = memorization.subject, memorization.scores
        mismatches = card_mismatches(card, subject, role, teacher_digest, training_set, self.extraction)
        warnings: list[str] = []
        if scores.training_set == training_set:
            mismatches += template_mismatches(card, subject, scores)
            warnings += chat_warnings(card, subject, scores)
        return [*refused_or_warned(mismatches, role, self.accepted), *warnings]
