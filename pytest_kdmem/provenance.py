"""A model's run card, read for an audit: believed only of the very weights beside it, and held against the roles."""

from __future__ import annotations

from pathlib import Path

from pytest_kdmem.checkpoint import open_checkpoint, weights_digest
from pytest_kdmem.errors import DataError
from pytest_kdmem.run_card import RunCard, read_run_card, training_fingerprint
from pytest_kdmem.spec import Model, TrainingSet

DIGITS = 4


def believed_card(subject: str, folder: Path) -> tuple[RunCard | None, list[str]]:
    """The card of a model folder, or None and, where there is one, why it is not believed."""
    try:
        card = read_run_card(folder)
    except DataError as error:
        return None, [f"run card of {subject} cannot be read: {error}"]
    if card is not None and card.weights != weights_digest(folder):
        return None, [f"run card of {subject} is of other weights"]
    return card, []


def differences(
    card: RunCard, subject: str, teacher: Model | None, training_set: TrainingSet | None, *, offline: bool = False
) -> list[str]:
    """What a card says otherwise than the audit's roles, a sentence each; what cannot be compared is no difference."""
    found = []
    if subject != "teacher" and card.teacher is not None and teacher is not None:
        digest = open_checkpoint(teacher, offline=offline).digest
        if card.teacher.digest != digest:
            found.append(
                f"{subject} was distilled from teacher {shortened(card.teacher.digest)}, this audit's is"
                f" {shortened(digest)}: its inheritance is measured against a teacher it never had"
            )
    if training_set is not None and card.training_set.fingerprint is not None:
        known = training_fingerprint(training_set)
        if known is not None and known != card.training_set.fingerprint:
            found.append(
                f"{subject} was trained on {card.training_set.source} by its run card, and this audit's training set"
                " has other content or is read otherwise"
            )
    return found


def shortened(digest: str) -> str:
    """Enough of a digest to tell two models apart at a glance."""
    return f"{digest[:DIGITS]}…"
