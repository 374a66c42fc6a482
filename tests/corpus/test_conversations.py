"""Rows of every layout become the same conversation, and what is none is refused in one sentence without its text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_kdmem.corpus.conversations import (
    MEDIA,
    ROLES,
    Completion,
    Conversation,
    chat_from_json,
    chat_to_json,
    from_completion,
    from_messages,
    from_texts,
)
from pytest_kdmem.errors import DataError

WHERE = "row 7 of chat.jsonl"
QUESTION, ANSWER = {"role": "user", "content": "why"}, {"role": "assistant", "content": "so"}


def test_each_layout_of_one_exchange_is_the_same_conversation() -> None:
    sharegpt = [{"from": "human", "value": "why"}, {"from": "gpt", "value": "so"}]
    rows = (
        from_messages([QUESTION, ANSWER], {}, WHERE),
        from_messages(sharegpt, {}, WHERE),
        from_texts({"user": ["why"], "assistant": ["so"]}, {}, WHERE),
    )
    for row in rows:
        assert row.messages == (QUESTION, ANSWER)
        assert (row.turns, row.other_turns, row.prompt) == ((1,), (0,), None)


def test_of_a_prompt_nothing_is_learned_and_behind_it_all_is() -> None:
    row = from_completion([QUESTION, ANSWER, QUESTION], [ANSWER], {}, WHERE)
    assert isinstance(row, Conversation)
    assert (row.prompt, row.turns, row.other_turns) == (3, (1, 3), (0, 1, 2))
    assert from_completion("why", "so", {}, WHERE) == Completion("why", "so", WHERE)


def test_columns_of_one_role_are_joined_and_a_system_message_may_be_empty() -> None:
    row = from_texts({"system": [None], "user": ["why", "", "then"], "assistant": ["so"]}, {}, WHERE)
    assert row.messages == ({"role": "user", "content": "why\nthen"}, ANSWER)
    for role in ("user", "assistant"):
        with pytest.raises(DataError, match=f"Text of the {role} was expected in {WHERE}, and its columns are empty"):
            from_texts({"user": ["why"], "assistant": ["so"], role: ["", None]}, {}, WHERE)


def test_tools_and_settings_of_a_row_reach_the_template() -> None:
    tools = [{"name": "search"}]
    for given_tools in (tools, '[{"name": "search"}]'):
        row = {"tools": given_tools, "chat_template_kwargs": {"thinking": True}}
        assert from_messages([ANSWER], row, WHERE).settings == {"tools": tools, "thinking": True}
    assert from_messages([ANSWER], {}, WHERE).settings == {"tools": None}


@pytest.mark.parametrize(
    ("messages", "row", "message"),
    [
        ("zqsecret", {}, "found str"),
        ([], {}, "found an empty list"),
        (["zqsecret"], {}, "found list"),
        ([QUESTION], {}, "A turn of the assistant was expected in .*; found user"),
        ([{"role": "narrator", "content": "zqsecret"}], {}, "Roles system, .* were expected in .*; found .?narrator"),
        ([{"role": "user", "content": 3}, ANSWER], {}, "content of the user's message in .*; found int"),
        ([{"role": "user", "content": None}, ANSWER], {}, "content of the user's message in .*; found NoneType"),
        ([{"role": "assistant", "content": None}], {}, "content of the assistant's message in .*; found NoneType"),
        ([{"role": "user", "content": [{"type": "image"}]}, ANSWER], {}, "content of the user's .*; found list"),
        *(([ANSWER], {name: ["zqsecret"]}, f"has .?{name}") for name in MEDIA),
        ([ANSWER], {"tools": "zqsecret"}, "A list of tools, or one as JSON"),
        ([ANSWER], {"tools": 3}, "found int and NoneType"),
        ([ANSWER], {"chat_template_kwargs": ["zqsecret"]}, "found NoneType and list"),
        ([ANSWER], {"chat_template_kwargs": {"tokenize": True}}, "found .?tokenize"),
    ],
)
def test_what_is_no_conversation_of_text_is_refused_without_its_text(
    messages: Any, row: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message) as refused:
        from_messages(messages, row, WHERE)
    assert WHERE in str(refused.value)
    assert "zqsecret" not in str(refused.value)


def test_a_call_of_a_tool_needs_no_content() -> None:
    call = {"role": "assistant", "content": None, "tool_calls": [{"name": "search"}]}
    assert from_messages([QUESTION, call], {}, WHERE).messages[1] == call


@pytest.mark.parametrize("values", [("why", [ANSWER]), ([QUESTION], "so")])
def test_a_text_and_a_list_are_no_completion(values: tuple[Any, Any]) -> None:
    with pytest.raises(DataError, match="Two texts or two lists of messages were expected"):
        from_completion(*values, {}, WHERE)


@given(st.lists(st.tuples(st.sampled_from(ROLES), st.text(max_size=9)), min_size=1, max_size=4), st.text(max_size=9))
def test_a_row_comes_back_from_another_process_as_it_was(turns: list[tuple[str, str]], completion: str) -> None:
    messages = [{"role": role, "content": content} for role, content in turns]
    row = from_messages([*messages, ANSWER], {"tools": [{"name": "a"}]}, WHERE)
    copy = chat_from_json(chat_to_json(row))
    assert isinstance(copy, Conversation)
    assert vars(copy) == vars(row)
    plain = from_completion("a", completion, {}, WHERE)
    assert chat_from_json(chat_to_json(plain)) == plain


def test_values_that_json_has_not_cannot_leave_the_process() -> None:
    with pytest.raises(DataError, match=f"Values that JSON has were expected in the messages of {WHERE}"):
        chat_to_json(from_messages([ANSWER | {"extra": object()}], {}, WHERE))


def test_lone_surrogates_become_question_marks_wherever_they_stand() -> None:
    row = from_messages([{"role": "assistant", "content": [{"text": "a\ud800b"}], "name": "\udfff"}], {}, WHERE)
    assert row.messages == ({"role": "assistant", "content": [{"text": "a?b"}], "name": "?"},)
    assert from_completion("\ud800", "b", {}, WHERE) == Completion("?", "b", WHERE)
