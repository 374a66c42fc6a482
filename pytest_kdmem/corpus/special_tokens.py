"""Decides whether the special tokens that a tokenizer adds by itself, such as BOS, belong to the examples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pytest_kdmem.corpus.sources import training_fingerprint
from pytest_kdmem.corpus.token_files import is_stream
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.specs.checkpoint import Checkpoint
from pytest_kdmem.specs.declared import TrainingSet
from pytest_kdmem.specs.reading_kinds import EndOfDocument, Reading
from pytest_kdmem.specs.run_card import RunCard, read_run_card


class UndeclaredSpecialTokens(SpecError):
    """It is not declared whether training had the special tokens that the tokenizer adds, and no run card tells."""


def has_special_tokens(training_set: TrainingSet, adds: str, answer: bool | None = None) -> bool:
    """Whether examples hold the special tokens that the tokenizer adds by itself.

    Args:
        training_set: The training set, which may declare it.
        adds: What the tokenizer adds, in words; "" if nothing.
        answer: What is known of the training of the model, if it is not declared.

    Raises:
        UndeclaredSpecialTokens: It is not declared, nothing answers it, and the tokenizer adds some.
    """
    if training_set.add_special_tokens is not None:
        return training_set.add_special_tokens
    if not adds:
        return False
    if answer is not None:
        return answer
    raise UndeclaredSpecialTokens(
        f"The tokenizer adds {adds} by itself, and whether training on {training_set.source} had that was expected to"
        " be declared; declare add_special_tokens=True if training called the tokenizer as it is (run_clm, TRL), or"
        " False if it had the tokens of the text alone (--kdmem-add-special-tokens=yes or no)."
    )


def check_promises(training_set: TrainingSet, promises: str) -> None:
    """Raise SpecError if settings promise special tokens that no reading adds, and training may have had them.

    Older versions of transformers add what the settings say, newer ones what tokenizer.json says.

    Args:
        training_set: The training set, which may declare what training had.
        promises: The settings, in words; "" if they are kept.
    """
    declared = training_set.add_special_tokens
    if promises and declared is not False and not (declared and training_set.tokenizer):
        raise SpecError(
            f"The tokenizer's settings ({promises}) promise special tokens, and neither its file nor this version of"
            f" transformers adds them; declare add_special_tokens=False if training on {training_set.source} had none"
            " (--kdmem-add-special-tokens=no), or else give the token ids that it had."
        )


def special_tokens_by_card(checkpoint: Checkpoint, training_set: TrainingSet) -> bool | None:
    """Whether a model was trained with its tokenizer's special tokens, by the run card beside its weights.

    Returns:
        None if there is no run card of these weights that can be read, or if it names another training set.
    """
    try:
        card = read_run_card(checkpoint.folder)
    except DataError:  # the audit warns of it where it looks at all of the card
        return None
    if card is None or card.training_set.fingerprint is None or card.weights != checkpoint.weights_digest:
        return None
    return next((special for special in (True, False) if _names(card, training_set, special)), None)


def possible_fingerprints(training_set: TrainingSet) -> set[str | None]:
    """The fingerprints that a run card can have of a training that read the set in a way that is not ruled out.

    Readings that are not declared agree where anything is read, so any of them is the same training.
    """
    specials = (True, False) if training_set.add_special_tokens is None else (training_set.add_special_tokens,)
    return {training_fingerprint(declared) for special in specials for declared in _readings(training_set, special)}


def possible_ends(training_set: TrainingSet) -> tuple[EndOfDocument | None, ...]:
    """The rules for an EOS behind documents of which each gives the examples that this set is read as, or none is read.

    Blocks whose rule is not declared are refused where a document ends in EOS, and elsewhere one is put behind each, as
    ``always`` and ``once`` do. Behind completions, what is not declared is ``once``.
    """
    if training_set.form == "blocks" and not is_stream(training_set) and training_set.eos is None:
        return None, "always", "once"
    if training_set.form == "documents" and training_set.eos in (None, "once"):
        return None, "once"
    return (training_set.eos,)


def _names(card: RunCard, training_set: TrainingSet, special: bool) -> bool:
    return any(
        training_fingerprint(declared) == card.training_set.fingerprint for declared in _readings(training_set, special)
    )


def _readings(training_set: TrainingSet, special: bool) -> Iterator[TrainingSet]:
    declared = training_set.tokenizer
    readings: tuple[Reading | None, ...] = (None, "file", "auto") if declared is None else (declared, None)
    for reading in readings:
        for end in possible_ends(training_set):
            yield replace(training_set, add_special_tokens=special, tokenizer=reading, eos=end)
