"""How a `transformers.Trainer` reads conversations, as far as it can be known: by which template, with whose loss."""

from __future__ import annotations

from itertools import islice
from typing import Any

import datasets
from transformers import Trainer

from pytest_kdmem.corpus.chat_source import declared_template, first_row
from pytest_kdmem.corpus.columns import IGNORED_LABEL, LABELS_COLUMN
from pytest_kdmem.corpus.conversations import ChatRow, Completion
from pytest_kdmem.specs.chat_templates import digest_templates
from pytest_kdmem.specs.declared import TrainingSet
from pytest_kdmem.specs.reading_kinds import ChatRoles
from pytest_kdmem.specs.run_card import ChatTraining

# Rows whose labels are looked into.
MOST_ROWS = 64


def chat_of_trainer(
    trainer: Trainer, training_set: TrainingSet, tokenizer: Any, *, offline: bool
) -> ChatTraining | None:
    """How a training reads the conversations of a set; None if the set holds none.

    Args:
        trainer: The trainer.
        training_set: The set as it is declared.
        tokenizer: Tokenizer of transformers by which training reads it.
        offline: Never open a network connection.
    """
    row = first_row(training_set, offline=offline)
    if not isinstance(row, ChatRow):
        return None
    roles = learned_roles(trainer)
    if isinstance(row, Completion):
        return ChatTraining("", "no template", roles)
    if training_set.chat_template is not None:  # the ids of the rows have been held against it
        return ChatTraining(*declared_template(training_set.chat_template), roles)
    # TRL trains by a template of its own where the tokenizer's marks no answers.
    if isinstance(replacement := getattr(trainer, "chat_template", None), str):
        return ChatTraining(
            digest_templates(replacement), f"{type(trainer).__name__}, which replaced the tokenizer's", roles
        )
    return ChatTraining(digest_templates(getattr(tokenizer, "chat_template", None)), "the tokenizer", roles)


def learned_roles(trainer: Trainer) -> ChatRoles | None:
    """Whose tokens a trainer takes the loss of, by the settings of TRL's; None if that is not known."""
    assistant_only = getattr(trainer.args, "assistant_only_loss", None)
    if assistant_only is None:
        return None
    if assistant_only or getattr(trainer, "completion_only_loss", False):
        return "assistant"
    return None if _leaves_out_labels(trainer.train_dataset) else "all"


def _leaves_out_labels(rows: Any) -> bool:
    """Whether rows that were prepared before have labels that leave tokens out of the loss."""
    if not isinstance(rows, datasets.Dataset) or LABELS_COLUMN not in rows.column_names:
        return False
    prepared = rows.with_format(None).select_columns([LABELS_COLUMN])
    return any(IGNORED_LABEL in row[LABELS_COLUMN] for row in islice(prepared, MOST_ROWS))
