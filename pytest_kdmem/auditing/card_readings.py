"""How a run card says that training read its set, held against how an audit reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

from pytest_kdmem.errors.harmless import named
from pytest_kdmem.specs.declared import TrainingSet
from pytest_kdmem.specs.run_card import DataOrigin, RunCard, Setting

# These change no example, or what they change is warned of with the chat template.
OF_NO_ACCOUNT = ("group_column", "chat_roles")


def other_settings(trained_on: DataOrigin, training_set: TrainingSet) -> dict[str, Setting]:
    """The settings by which training read its set otherwise than an audit does, by name, with those of training.

    Empty if the card does not say how training read it.

    Args:
        trained_on: The set of training, by the run card.
        training_set: The set as the audit declares it.
    """
    if trained_on.reading is None:
        return {}
    trained, audited = read_by(TrainingSet(training_set.source), trained_on.reading), training_set
    names = {*trained.reading, *audited.reading} - {*OF_NO_ACCOUNT}
    return {
        name: getattr(trained, name) for name in sorted(names) if not _is_same(name, getattr(trained, name), audited)
    }


def read_by(training_set: TrainingSet, settings: Mapping[str, Setting]) -> TrainingSet:
    """A set that is read by other settings, which a run card or options tell.

    Raises:
        SpecError: A setting is of the wrong kind.
    """
    return replace(training_set, **settings)  # type: ignore[arg-type]


def difference(settings: dict[str, Setting], training_set: TrainingSet) -> str:
    """How an audit reads a set otherwise than training did, and what to declare, in words."""
    audited = {name: getattr(training_set, name) for name in settings}
    return (
        f"reads it by {', '.join(declared_settings(audited))}, where training had"
        f" {', '.join(declared_settings(settings))} (declare that to make both equal)"
    )


def reading_of(card: RunCard) -> dict[str, Setting]:
    """The settings by which an audit reads a set as a training did, by its run card; empty if it does not tell."""
    learned_all = card.chat is not None and card.chat.roles == "all"
    return (card.training_set.reading or {}) | ({"chat_roles": "all"} if learned_all else {})


def declared_settings(settings: Mapping[str, Setting]) -> list[str]:
    """Settings as they are declared in Python, in which foreign text that is no name is told by its length."""
    return [
        f"{name}={named(value, json.dumps(value, ensure_ascii=False)) if isinstance(value, str) else value}"
        for name, value in settings.items()
    ]


def _is_same(name: str, trained: Setting, training_set: TrainingSet) -> bool:
    """Whether the values of a setting make no difference; where one is undeclared, what would make one is refused."""
    if name == "eos":
        # Imported where it is needed: it brings pyarrow, and `kdmem init` only asks for settings.
        from pytest_kdmem.corpus.special_tokens import possible_ends

        return trained in possible_ends(training_set)
    audited: Setting = getattr(training_set, name)
    if name == "tokenizer":
        return trained == audited or None in (trained, audited)
    if name == "add_special_tokens":
        return audited is None or bool(trained) == audited
    return trained == audited
