"""Columns of conversations are parsed in every form that is told, and in no other."""

from __future__ import annotations

import pytest

from pytest_kdmem.specs.chat_columns import EXPECTED, ChatColumns, chat_columns, parse_chat_columns


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("messages", {"messages": ("messages",)}),
        ("messages=conversations", {"messages": ("conversations",)}),
        ("prompt,completion", {"prompt": ("prompt",), "completion": ("completion",)}),
        ("completion=out, prompt = in", {"prompt": ("in",), "completion": ("out",)}),
        ("user=q,assistant=a", {"user": ("q",), "assistant": ("a",)}),
        ("assistant=a,user=i+j,system=s", {"system": ("s",), "user": ("i", "j"), "assistant": ("a",)}),
    ],
)
def test_each_part_has_its_columns_in_the_order_of_a_conversation(
    text: str, columns: dict[str, tuple[str, ...]]
) -> None:
    parsed = parse_chat_columns(text)
    assert parsed == ChatColumns(tuple(columns.items()))
    assert parsed.parts == tuple(columns)
    assert parsed.names == tuple(name for names in columns.values() for name in names)
    assert chat_columns(text) == ""


@pytest.mark.parametrize(
    "text",
    [
        *("", "text", "messages,messages", "messages,prompt", "prompt", "completion=a", "user=q", "system=s,user=q"),
        *("assistant=a", "messages=a+b", "prompt=a+b,completion=c", "user=,assistant=a", "user=q+,assistant=a"),
        *("user=q,assistant=a,", "user=q,assistant=a,tool=t", "user=q,user=r,assistant=a"),
    ],
)
def test_any_other_text_is_refused_with_the_forms_that_there_are(text: str) -> None:
    with pytest.raises(ValueError, match=r"^none, messages=COLUMN"):
        parse_chat_columns(text)
    assert chat_columns(text) == f"of the form {EXPECTED}"


def test_a_set_may_be_declared_to_hold_none_and_a_value_has_to_be_a_text() -> None:
    assert chat_columns("none") == ""
    assert chat_columns(3) == chat_columns(None) == f"of the form {EXPECTED}"
