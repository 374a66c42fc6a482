"""Figures over a whole training set of which a model saw a cleaned copy alone: what was left out counts for nothing."""

from __future__ import annotations

from pytest_kdmem.auditing.provenance import card_mismatches, read_trusted_card
from pytest_kdmem.base.text import count, last_part, percent
from pytest_kdmem.corpus.special_tokens import possible_fingerprints
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.run_card import RunCard

# Where less of a set was left out, its rates are next to those of what the model saw.
MOST_LEFT_OUT = 0.1
CANARIES = (
    "its figures of canaries are also of those that cleaning left out, which it never saw (canaries(model,"
    " TrainingSet(…)) of the cleaned copy says whether that holds them all)"
)
MEMBERSHIP = (
    "attacks also look for what cleaning left out, which makes the model seem safer than it is (membership(model,"
    " TrainingSet(…)) of the cleaned copy attacks what it saw)"
)


def cleaned_warning(card: RunCard | None, subject: str, training_set: TrainingSet, consequence: str) -> list[str]:
    """Warn of a model that was trained on a cleaned copy of the set that a figure is over.

    Args:
        card: The model's run card; None if it has none that is trusted.
        subject: Name of the model in the sentence.
        training_set: The set that the figure is over.
        consequence: What that means for the figure, in words.
    """
    if card is None or card.training_set.cleaned_from is None:
        return []
    known, trained_on = possible_fingerprints(training_set), card.training_set
    if trained_on.cleaned_from not in known or trained_on.fingerprint in known:
        return []
    copy = f"{last_part(trained_on.source)}, " * (trained_on.name != training_set.name)
    return [
        f"according to its run card, {subject} was trained on {copy}a cleaned copy of {training_set.name}:"
        f" {consequence}"
    ]


def diluted_warning(card: RunCard | None, subject: str, training_set: TrainingSet, examples: int) -> list[str]:
    """Warn of rates over a whole set of which much was left out before the model was trained.

    Args:
        card: The model's run card; None if it has none that is trusted.
        subject: Name of the model in the sentence.
        training_set: The set that rates are over.
        examples: Number of its examples.
    """
    seen = card.training_set.examples if card is not None else examples
    if seen >= (1 - MOST_LEFT_OUT) * examples:
        return []
    left_out = f"{count(examples - seen)} of {count(examples)} rows ({percent(1 - seen / examples)}) were left out"
    consequence = f"{left_out} before, further copies among them, and its rates are over the set before that"
    return cleaned_warning(card, subject, training_set, consequence)


def trained_otherwise(model: Model, training_set: TrainingSet, *, offline: bool) -> list[str]:
    """Warn of canaries in a set of which the run card beside a model's weights says that it was not trained on it.

    Args:
        model: The model.
        training_set: The set that holds the canaries.
        offline: Never open a network connection.

    Raises:
        KdmemError: The model cannot be opened.
    """
    read_card = read_trusted_card(model.name, model, open_checkpoint(model, offline=offline), offline=offline)
    card, warnings = read_card.card, read_card.told
    if card is None:
        return warnings
    # Whatever its role: that of a student is the one that may be audited over more than it was trained on.
    mismatches = card_mismatches(card, model.name, "student", None, training_set, Extraction())
    warnings += [mismatch.sentence for mismatch in mismatches if mismatch.kind == "training-set"]
    return [*warnings, *cleaned_warning(card, model.name, training_set, CANARIES)]
