"""The run cards of an audit's models, and what they say otherwise than the roles of the models."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pytest_kdmem.auditing.chat_cards import chat_warnings, template_mismatches
from pytest_kdmem.auditing.provenance import (
    Mismatch,
    card_mismatches,
    read_trusted_card,
    refused_or_warned,
    untrained_mismatches,
    window_warnings,
)
from pytest_kdmem.auditing.teacher_sets import check_never_saw, teacher_warnings
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
        differences: Accepted differences that were found, each as ``role:kind``.
    """

    extraction: Extraction
    offline: bool
    accepted: Collection[str] = ()
    cards: dict[Model, RunCard | None] = field(default_factory=dict)
    differences: set[str] = field(default_factory=set)

    def read(
        self,
        memorization: Memorization,
        roles: Iterable[str],
        declared: Mapping[str, Model],
        training_set: TrainingSet | None,
        teacher_set: TrainingSet | None = None,
    ) -> list[str]:
        """Read the card of a model that was scored, and return warnings about it.

        Args:
            memorization: What the model memorized.
            roles: The roles that the audit declares for the model, or its name if there are none.
            declared: The models that the audit declares, by role.
            training_set: The training set that the audit declares.
            teacher_set: What only the teacher saw, as the audit declares it.

        Raises:
            SpecError: The card says something else than the audit, and that is not accepted.
        """
        scores = memorization.scores
        read_card = read_trusted_card(memorization.subject, scores.model, scores.checkpoint, offline=self.offline)
        card, warnings = read_card.card, list(read_card.warnings)
        self.cards[scores.model] = card
        for role in roles:
            warnings += self._accept(read_card.mismatches, role)
        if "student" in roles:
            mismatches = untrained_mismatches(scores.checkpoint, self._cards_of_others(declared))
            warnings += self._accept(mismatches, "student")
        teacher = declared.get("teacher")
        teacher_digest = open_checkpoint(teacher, offline=self.offline).digest if card and teacher else None
        for role in roles:
            # A teacher that has a set of its own was trained on more than the student.
            compared_set = None if role == "teacher" and teacher_set is not None else training_set
            warnings += self.warnings(memorization, role, teacher_digest, compared_set)
            warnings += self.teacher_set_warnings(memorization, role, training_set, teacher_set)
        return warnings

    def _cards_of_others(self, declared: Mapping[str, Model]) -> Iterator[tuple[str, RunCard]]:
        """The trusted cards of teacher and baseline, by role."""
        for role in ("teacher", "baseline"):
            if (model := declared.get(role)) is not None:
                card = read_trusted_card(role, model, open_checkpoint(model, offline=self.offline)).card
                if card is not None:
                    yield role, card

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
        warnings = list(window_warnings(card, subject, self.extraction))
        if scores.training_set == training_set:
            mismatches += template_mismatches(card, subject, scores)
            warnings += chat_warnings(card, subject, scores)
        return [*self._accept(mismatches, role), *warnings]

    def _accept(self, mismatches: Collection[Mismatch], role: str) -> list[str]:
        """Return the sentences of mismatches that are accepted, and note these; raises as `refused_or_warned`."""
        sentences = refused_or_warned(mismatches, role, self.accepted)
        self.differences.update(f"{role}:{mismatch.kind}" for mismatch in mismatches)
        return sentences

    def teacher_set_warnings(
        self,
        memorization: Memorization,
        role: str,
        training_set: TrainingSet | None,
        teacher_set: TrainingSet | None,
    ) -> list[str]:
        """Return warnings of a teacher that may not have seen the teacher set.

        Args:
            memorization: What the model memorized, of whichever set.
            role: The role in which it is compared.
            training_set: The training set that the audit declares.
            teacher_set: Its teacher set; None if it declares none.

        Raises:
            SpecError: A student or a baseline was trained on the teacher set.
        """
        card = self.cards.get(memorization.scores.model)
        if card is None or teacher_set is None:
            return []
        check_never_saw(card, memorization.subject, role, training_set, teacher_set)
        return teacher_warnings(card, memorization.subject, training_set, teacher_set) if role == "teacher" else []
