"""Run cards in an audit: which card is trusted, and what it says otherwise than the role of its model.

A card describes the weights beside it. Configuration and tokenizer may have been changed since it was written.
"""

from __future__ import annotations

from collections.abc import Iterator

from pytest_kdmem.base.text import count, last_part
from pytest_kdmem.corpus.sources import training_fingerprint
from pytest_kdmem.errors import DataError
from pytest_kdmem.specs.checkpoint import Checkpoint, open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.run_card import RunCard, read_run_card
from pytest_kdmem.specs.weights import weights_digest

SHOWN_DIGITS = 4


def read_trusted_card(
    subject: str, model: Model, scored: Checkpoint, *, offline: bool = False
) -> tuple[RunCard | None, list[str]]:
    """Read the run card beside the weights of a model that was scored.

    Args:
        subject: Name of the model in warnings.
        model: The declared model, which is opened again to see whether its folder was changed after it was scored.
        scored: The checkpoint that was scored.
        offline: Whether the hub must not be asked.

    Returns:
        the card, or None if there is none that is trusted; and the reason why a card is not trusted.
    """
    try:
        card = read_run_card(scored.folder)
    except DataError as error:
        return None, [f"run card of {subject} cannot be read: {error}"]
    if card is None:
        return None, []
    if card.weights != weights_digest(scored.folder):
        return None, [f"run card of {subject} is of other weights"]
    if open_checkpoint(model, offline=offline).digest != scored.digest:
        return None, [f"run card of {subject} is not believed, as its folder was changed after it was scored"]
    return card, []


def model_warnings(teacher: Checkpoint, baseline: Checkpoint, student: Checkpoint) -> Iterator[str]:
    """Warn of a baseline that is the teacher itself, or not of the student's size."""
    if teacher.digest == baseline.digest:
        yield "teacher and baseline are one model: nothing is the teacher's alone"
    elif baseline.parameters != student.parameters:
        sizes = f"{count(baseline.parameters)} parameters, the student {count(student.parameters)}"
        yield f"the baseline has {sizes}: part of the reduction is of size"


def card_warnings(
    card: RunCard,
    subject: str,
    role: str,
    teacher: str | None,
    training_set: TrainingSet | None,
    extraction: Extraction,
) -> list[str]:
    """Warn of everything that a run card says otherwise than the role of its model; what is unknown is no difference.

    Args:
        card: The run card.
        subject: Name of the model in warnings.
        role: ``teacher``, ``student``, ``baseline``, or another name for a model without a role.
        teacher: Digest of the checkpoint that is the teacher; None if there is none.
        training_set: The training set that the model is compared over; None if there is none.
        extraction: The audit's lengths of prefix, suffix and window.
    """
    warnings = [*_mode_warnings(card, subject, role)]
    if role != "teacher" and card.teacher is not None and teacher is not None and card.teacher.digest != teacher:
        warnings.append(
            f"{subject} was distilled from teacher {shorten_digest(card.teacher.digest)}, this audit's is"
            f" {shorten_digest(teacher)}: its inheritance is measured against a teacher it never had"
        )
    window = card.extraction.get("window_tokens")
    if window is not None and window < extraction.scored_tokens:
        warnings.append(
            f"{subject} was trained on windows of {window} tokens by its run card, and this audit asks for"
            f" {extraction.scored_tokens}: it never saw the ends of its suffixes"
        )
    if training_set is not None:
        warnings += _training_set_warnings(card, subject, training_set)
    return warnings


def _mode_warnings(card: RunCard, subject: str, role: str) -> Iterator[str]:
    if role == "baseline" and card.mode != "baseline":
        yield (
            f"{subject} was distilled by its run card (mode {card.mode}), and a baseline is one that was not: what it"
            " shares with its teacher counts as no inheritance"
        )
    if role == "student" and card.mode == "baseline":
        yield f"{subject} was trained as a baseline by its run card, without a teacher to inherit from"


def _training_set_warnings(card: RunCard, subject: str, training_set: TrainingSet) -> Iterator[str]:
    fingerprint, trained_on = training_fingerprint(training_set), card.training_set
    trained = f"{subject} was trained on {last_part(trained_on.source)} by its run card, and this audit's training set"
    if fingerprint is not None and trained_on.fingerprint is not None:
        if fingerprint != trained_on.fingerprint:
            yield f"{trained} has other content or is read otherwise"
    elif trained_on.name != training_set.name:
        yield f"{trained} is called {training_set.name}; whether their content is the same cannot be told"


def shorten_digest(digest: str) -> str:
    """The first digits of a digest, enough to tell two models apart at a glance."""
    return f"{digest[:SHOWN_DIGITS]}…"
