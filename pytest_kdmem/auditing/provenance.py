"""Run cards in an audit: which card is trusted, and whether the model was trained otherwise than it is audited.

A card describes the weights beside it. Configuration and tokenizer may have been changed since it was written.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from pytest_kdmem.auditing.card_readings import difference, other_settings, read_by
from pytest_kdmem.auditing.card_warnings import OTHER_SET, OTHER_WEIGHTS, card_warning, shorten_digest
from pytest_kdmem.base.text import count, last_part
from pytest_kdmem.corpus.sources import training_fingerprint
from pytest_kdmem.corpus.special_tokens import possible_fingerprints
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.metrics.inheritance import is_same_model
from pytest_kdmem.specs.checkpoint import Checkpoint, open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.run_card import FILE_NAME, OTHER_TRAINER, RunCard, read_run_card
from pytest_kdmem.specs.weights import weights_digest

Kind = Literal["training-set", "teacher", "role", "window", "template", "weights"]


@dataclass(frozen=True)
class Mismatch:
    """Something that a run card says otherwise than the audit: its figures would be of another training than this one.

    Attributes:
        kind: What differs.
        sentence: What the card says, and what the audit does.
        refusal: What was expected and found where, and the way out; empty if the sentence says enough.
    """

    kind: Kind
    sentence: str
    refusal: str = ""


class ReadCard(NamedTuple):
    """What was found where the run card of a model lies.

    Attributes:
        card: The card; None if there is none that is trusted.
        warnings: Why a card is not trusted.
        mismatches: That the card cannot be read, or belongs to other weights, as where the files of two models were
            mixed up.
    """

    card: RunCard | None
    warnings: list[str]
    mismatches: list[Mismatch]

    @property
    def told(self) -> list[str]:
        """Everything that is wrong, as warnings: for commands, which judge nothing."""
        return [*self.warnings, *(mismatch.sentence for mismatch in self.mismatches)]


def read_trusted_card(subject: str, model: Model, scored: Checkpoint, *, offline: bool = False) -> ReadCard:
    """Read the run card beside the weights of a model that was scored.

    Args:
        subject: Name of the model in warnings.
        model: The declared model, which is opened again to see whether its folder was changed after it was scored.
        scored: The checkpoint that was scored.
        offline: Whether the hub must not be asked.
    """
    try:
        card = read_run_card(scored.folder)
    except DataError as error:
        # Whatever it says: a card that somebody broke must not be worth more than one of other weights.
        return ReadCard(None, [], [_unreadable(subject, error)])
    if card is None:
        return ReadCard(None, [], [])
    reopened = open_checkpoint(model, offline=offline)
    if card.weights != reopened.weights_digest:
        if _is_of_what_was_converted(card, reopened):
            return ReadCard(
                None, [card_warning(subject, "is of the weights beside its GGUF file, and is not used")], []
            )
        return ReadCard(None, [], [_other_weights(subject, scored)])
    if reopened.digest != scored.digest:
        changed = "is not used, because its folder was changed after the model was scored"
        return ReadCard(None, [card_warning(subject, changed)], [])
    return ReadCard(card, [], [])


def _is_of_what_was_converted(card: RunCard, checkpoint: Checkpoint) -> bool:
    """Whether a card is of the safetensors in whose folder a converter wrote the GGUF file that is audited."""
    if checkpoint.gguf is None or not list(checkpoint.folder.glob("*.safetensors")):
        return False
    try:
        return weights_digest(checkpoint.folder) == card.weights
    except SpecError:  # other weights than those of a whole model
        return False


def _unreadable(subject: str, error: DataError) -> Mismatch:
    """That the card of a model cannot be read, so that nobody knows of which weights it is."""
    return Mismatch("weights", card_warning(subject, f"cannot be read: {error}"), f"{str(error).removesuffix('.')}, or")


def _other_weights(subject: str, scored: Checkpoint) -> Mismatch:
    """That the card of a model belongs to other weights; whether these are a copy in another form cannot be known."""
    refusal = (
        f"The run card of {subject} was expected to be of the weights beside it, and {scored.folder / FILE_NAME}"
        " belongs to other weights, as where the files of two models were mixed up; audit the model that the card was"
        " written for, or, if its weights were saved again since (in another dtype, quantized, merged),"
    )
    return Mismatch("weights", card_warning(subject, OTHER_WEIGHTS), refusal)


def model_warnings(teacher: Checkpoint, baseline: Checkpoint, student: Checkpoint) -> Iterator[str]:
    """Warn of a baseline that is the teacher or the student itself, or not of the student's size."""
    if is_same_model(teacher, baseline):
        yield "teacher and baseline are the same model: no example is memorized by the teacher alone"
    elif is_same_model(student, baseline):
        yield "student and baseline are the same model: nothing can show what the student has from its teacher"
    elif baseline.parameters != student.parameters:
        sizes = f"{count(baseline.parameters)} parameters, the student {count(student.parameters)}"
        yield f"the baseline has {sizes}: a part of the reduction comes from this difference"


def card_mismatches(
    card: RunCard,
    subject: str,
    role: str,
    teacher: str | None,
    training_set: TrainingSet | None,
    extraction: Extraction,
) -> list[Mismatch]:
    """Return everything that a run card says otherwise than the role of its model; what is unknown is no difference.

    Args:
        card: The run card.
        subject: Name of the model in sentences.
        role: ``teacher``, ``student``, ``baseline``, or another name for a model without a role.
        teacher: Digest of the checkpoint that is the teacher; None if there is none.
        training_set: The training set that the model is compared over; None if there is none.
        extraction: The audit's lengths of prefix, suffix and window.
    """
    mismatches = [Mismatch("role", sentence) for sentence in _mode_sentences(card, subject, role)]
    if role != "teacher" and card.teacher is not None and teacher is not None and card.teacher.digest != teacher:
        sentence = (
            f"{subject} was distilled from teacher {shorten_digest(card.teacher.digest)}, this audit's is"
            f" {shorten_digest(teacher)}: its inheritance is measured against another teacher than its own"
        )
        mismatches.append(Mismatch("teacher", sentence))
    window = card.extraction.get("window_tokens")
    if window is not None and window < extraction.scored_tokens:
        sentence = (
            f"according to its run card, {subject} was trained on windows of {window} tokens, and this audit asks for"
            f" {extraction.scored_tokens}: it never saw the ends of its suffixes"
        )
        mismatches.append(Mismatch("window", sentence))
    if training_set is not None:
        sentences = _training_set_sentences(card, subject, role, training_set)
        mismatches += [Mismatch("training-set", sentence) for sentence in sentences]
    return mismatches


def untrained_mismatches(student: Checkpoint, cards: Iterable[tuple[str, RunCard]]) -> list[Mismatch]:
    """Return that a student is what the training of another model began with: what nobody trained recites nothing.

    Args:
        student: The checkpoint that was scored as the student.
        cards: Run cards of other models of the audit, by role.
    """
    return [
        Mismatch(
            "role",
            f"according to the run card of {role}, the student is the model that the training of {role} began with:"
            " it was not trained on this training set",
        )
        for role, card in cards
        if card.init.digest == student.digest
    ]


def window_warnings(card: RunCard, subject: str, extraction: Extraction) -> Iterator[str]:
    """Warn of another window than that of training; one that is shorter than prefix and suffix is a mismatch."""
    window = card.extraction.get("window_tokens")
    if window is None or window == extraction.window_tokens or window < extraction.scored_tokens:
        return
    longer = (
        "beyond which nothing was learned"
        if window < extraction.window_tokens
        else "and learned text that is cut off here"
    )
    yield (
        f"according to its run card, {subject} was trained on windows of {window} tokens, {longer}, and this audit"
        f" reads {extraction.window_tokens} (--kdmem-window-tokens={window} makes both equal)"
    )


def refused_or_warned(mismatches: Iterable[Mismatch], role: str, accepted: Collection[str]) -> list[str]:
    """Return the sentences of mismatches that are accepted, as warnings.

    Args:
        mismatches: What the run card of a model says otherwise than the audit.
        role: Role or name of the model.
        accepted: Mismatches that are accepted, each as ``role:kind``.

    Raises:
        SpecError: One of them is not accepted.
    """
    warnings = []
    for mismatch in mismatches:
        name = f"{role}:{mismatch.kind}"
        if name not in accepted:
            refusal = mismatch.refusal or (
                f"A model that was trained as it is audited was expected, and {mismatch.sentence}; audit what it was"
                " trained on, or"
            )
            raise SpecError(f"{refusal} accept this difference by --kdmem-accept-provenance={name}.")
        warnings.append(mismatch.sentence)
    return warnings


def _mode_sentences(card: RunCard, subject: str, role: str) -> Iterator[str]:
    if role == "baseline" and card.mode not in ("baseline", OTHER_TRAINER):
        yield (
            f"according to its run card, {subject} was distilled (mode {card.mode}), and a baseline is not: examples"
            " that it shares with its teacher will not count as inherited"
        )
    if role == "student" and card.mode == "baseline":
        yield f"according to its run card, {subject} was trained as a baseline, without a teacher to inherit from"


def _training_set_sentences(card: RunCard, subject: str, role: str, training_set: TrainingSet) -> Iterator[str]:
    fingerprint, trained_on = training_fingerprint(training_set), card.training_set
    trained = f"according to its run card, {subject} was trained on {last_part(trained_on.source)},"
    other = other_settings(trained_on, training_set)
    read_otherwise = (
        f"{trained} and this audit {difference(other, training_set)}: its examples are not those of training"
    )
    if fingerprint is not None and trained_on.fingerprint is not None:
        possible = possible_fingerprints(training_set)
        # A student of a cleaned set is audited over the whole: its teacher may have passed on what was removed.
        trained_fingerprints = {trained_on.fingerprint, trained_on.cleaned_from if role == "student" else None} - {None}
        if trained_fingerprints & possible:
            return
        if other and trained_fingerprints & possible_fingerprints(read_by(training_set, other)):
            yield read_otherwise
        else:
            yield f"{trained} {OTHER_SET} has other content, or is read in another way"
    elif trained_on.name != training_set.name:
        yield (f"{trained} {OTHER_SET} is called {training_set.name}; whether their content is the same is unknown")
    elif other:
        yield read_otherwise
