"""Each field that says how a training set is read has a check, which takes what is meant and names what is expected."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from pytest_kdmem.specs.declared import TrainingSet
from pytest_kdmem.specs.reading_kinds import READING_CHECKS

RIGHT: dict[str, tuple[Any, ...]] = {
    "form": ("documents", "blocks"),
    "documents": ("lines", "articles"),
    "add_special_tokens": (None, True, False),
    "tokenizer": (None, "file", "auto"),
    "eos": (None, "once", "always", "never"),
    "sample": (None, 1),
    "seed": (0, 2**64 - 1),
    "minimum_tokens": (0, 9),
    "dtype": (None, "uint16", "uint32"),
    "eos_id": (None, 0, 2**31 - 1),
    "order": (None, "order.npy"),
    "chat_columns": (None, "none", "messages"),
    "chat_roles": (None, "assistant", "all"),
    "chat_turns": (None, 1),
    "answer_tokens": (None, 1),
    "chat_template": (None, "template.jinja"),
    "group_column": (None, "licence"),
    "stratify": (None, "group", "copies"),
    "stratum_sample": (None, 1),
}
WRONG: dict[str, tuple[Any, ...]] = {
    "form": (None, "lines", ""),
    "documents": (None, "blocks"),
    "add_special_tokens": (1, "yes"),
    "tokenizer": ("other",),
    "eos": (True, "often"),
    "sample": (0, 1.5, True),
    "seed": (-1, 2**64, None),
    "minimum_tokens": (-1, None, 0.5),
    "dtype": ("int64",),
    "eos_id": (-1, 2**31),
    "order": (3,),
    "chat_columns": ("", 3),
    "chat_roles": ("user",),
    "chat_turns": (0,),
    "answer_tokens": (0, "9"),
    "chat_template": (3,),
    "group_column": ("", 3),
    "stratify": ("source", ""),
    "stratum_sample": (0, 1.5),
}


def test_every_field_is_tried_and_is_one_of_a_training_set() -> None:
    assert set(RIGHT) == set(WRONG) == set(READING_CHECKS) <= {field.name for field in fields(TrainingSet)}


@pytest.mark.parametrize("name", READING_CHECKS)
def test_a_check_takes_what_is_meant_and_says_what_is_expected_instead_of_the_rest(name: str) -> None:
    check = READING_CHECKS[name]
    assert [check(value) for value in RIGHT[name]] == [""] * len(RIGHT[name])
    assert all(check(value) for value in WRONG[name])
