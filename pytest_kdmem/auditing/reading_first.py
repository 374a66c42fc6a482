"""Says of a set that is too short to be scored that another column may be its text, before lengths are advised."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pytest_kdmem.auditing.card_readings import difference, other_settings
from pytest_kdmem.base.text import last_part
from pytest_kdmem.corpus.column_names import column_names
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.errors.harmless import listed, quoted
from pytest_kdmem.specs.declared import TrainingSet
from pytest_kdmem.specs.run_card import RunCard

# Of what is said of a set of which all or most examples are too short.
TOO_SHORT = ("(prefix + suffix)", "as long as prefix and suffix")


@contextmanager
def reading_first(subject: str, training_set: TrainingSet, read_card: Callable[[], RunCard | None]) -> Iterator[None]:
    """Put before an error about what is too short how the set is read, if that may be the mistake.

    Args:
        subject: Name of the model that is scored.
        training_set: The set.
        read_card: Reads the run card of the model, if the set is the one that it may name; called after an error.
    """
    try:
        yield
    except (DataError, SpecError) as error:
        text = str(error)
        if not any(words in text for words in TOO_SHORT) or not (found := _found(subject, training_set, read_card())):
            raise
        raise type(error)(f"{found} {text}") from error


def _found(subject: str, training_set: TrainingSet, card: RunCard | None) -> str:
    """What may be wrong with how a set is read, in a sentence; empty if nothing is known of it."""
    if card is not None and (other := other_settings(card.training_set, training_set)):
        trained_on = last_part(card.training_set.source)
        return (
            f"According to its run card, {subject} was trained on {trained_on}, and this audit"
            f" {difference(other, training_set)}."
        )
    columns, declared = column_names(training_set.source) or {}, training_set.text_column
    others = [name for name, is_text in columns.items() if is_text and name != declared]
    if not columns.get(declared) or not others or training_set.chat_columns is not None:
        return ""
    return (
        f"Column {quoted(declared)} of {last_part(training_set.source)} is read as its text, and it also has"
        f" {listed(others)}: if another one was trained on, name it with --kdmem-text-column."
    )
