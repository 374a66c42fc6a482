"""A model's run card, read for an audit: believed only beside its very weights, and held against the model's place.

A card vouches for weights. Configuration and tokenizer beside them may have been changed since it was written.
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

DIGITS = 4


def read_trusted_card(
    subject: str, model: Model, *, scored: str, offline: bool = False
) -> tuple[RunCard | None, list[str]]:
    """The card beside a model's weights, or None and, where there is one, why it is not believed.

    ``scored`` is the digest of the checkpoint that was scored; a folder written to since is another model's.
    """
    checkpoint = open_checkpoint(model, offline=offline)
    try:
        card = read_run_card(checkpoint.folder)
    except DataError as error:
        return None, [f"run card of {subject} cannot be read: {error}"]
    if card is None:
        return None, []
    if card.weights != weights_digest(checkpoint.folder):
        return None, [f"run card of {subject} is of other weights"]
    if open_checkpoint(model, offline=offline).digest != scored:
        return None, [f"run card of {subject} is not believed, as its folder was changed after it was scored"]
    return card, []


def model_warnings(teacher: Checkpoint, baseline: Checkpoint, student: Checkpoint) -> Iterator[str]:
    """Where a baseline tells little: it is to be of the student's size, fine-tuned without a teacher."""
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
    """What a card says otherwise than the place that its model takes, a sentence each; the unknown is no difference.

    Args:
        role: the model's place: ``teacher``, ``student``, ``baseline``, or anything else for none of them.
        teacher: digest of the checkpoint that is teacher there.
        training_set: of the audit.
        extraction: of the audit.
    """
    found = []
    by_card = "by its run card"
    if role == "baseline" and card.mode != "baseline":
        found.append(
            f"{subject} was distilled {by_card} (mode {card.mode}), and a baseline is one that was not: what it shares"
            " with its teacher counts as no inheritance"
        )
    if role == "student" and card.mode == "baseline":
        found.append(f"{subject} was trained as a baseline {by_card}, without a teacher to inherit from")
    if role != "teacher" and card.teacher is not None and teacher is not None and card.teacher.digest != teacher:
        found.append(
            f"{subject} was distilled from teacher {shorten_digest(card.teacher.digest)}, this audit's is"
            f" {shorten_digest(teacher)}: its inheritance is measured against a teacher it never had"
        )
    window = card.extraction.get("window_tokens")
    if window is not None and window < extraction.scored_tokens:
        found.append(
            f"{subject} was trained on windows of {window} tokens {by_card}, and this audit asks for"
            f" {extraction.scored_tokens}: it never saw the ends of its suffixes"
        )
    if training_set is not None:
        known, used = training_fingerprint(training_set), card.training_set
        comparable = known is not None and used.fingerprint is not None
        if comparable and known != used.fingerprint:
            found.append(
                f"{subject} was trained on {last_part(used.source)} {by_card}, and this audit's training set has"
                " other content or is read otherwise"
            )
        elif not comparable and used.name != training_set.name:
            found.append(
                f"{subject} was trained on {last_part(used.source)} {by_card}, and this audit's training set is called"
                f" {training_set.name}; whether their content is the same cannot be told"
            )
    return found


def shorten_digest(digest: str) -> str:
    """Enough of a digest to tell two models apart at a glance."""
    return f"{digest[:DIGITS]}…"
