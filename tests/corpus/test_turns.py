"""A turn is cut to the window behind as much as fits of what stands before it, and chat data is never half a set."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_kdmem.corpus.columns import Document
from pytest_kdmem.corpus.conversations import Completion, Conversation
from pytest_kdmem.corpus.turns import TurnEncoder, check_no_chat, cut_turn, of_one_kind
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.specs.declared import Extraction, TrainingSet

CHAT = Conversation(({"role": "assistant", "content": "a"},), "row 1")
COMPLETION = Completion("a", "b", "row 2")


def reference(ids: list[int], turn: tuple[int, int], extraction: Extraction) -> tuple[list[int], int]:
    """Drop one token after the other: from the front while the suffix would not fit, then from the end."""
    before, answer = ids[: turn[0]], ids[turn[0] : turn[1]]
    if not before:  # nothing predicts the first token
        before, answer = answer[:1], answer[1:]
    while len(before) + extraction.suffix_tokens > extraction.window_tokens:
        before = before[1:]
    while len(before) + len(answer) > extraction.window_tokens:
        answer = answer[:-1]
    return before + answer, len(before)


@given(data=st.data())
def test_a_turn_is_cut_as_one_token_dropped_after_the_other(data: st.DataObject) -> None:
    prefix, suffix, more = (data.draw(st.integers(least, 9)) for least in (1, 1, 0))
    extraction = Extraction(prefix, suffix, prefix + suffix + more)
    start = data.draw(st.integers(0, 30))
    end = start + data.draw(st.integers(1, 30))
    ids = np.arange(end + data.draw(st.integers(0, 5)), dtype=np.int32)
    cut, prefix_tokens = cut_turn(ids, (start, end), extraction)
    assert (cut.tolist(), prefix_tokens) == reference(ids.tolist(), (start, end), extraction)


def test_documents_are_all_conversations_or_none() -> None:
    for documents in ([CHAT, COMPLETION], ["a", "b"], []):
        assert list(of_one_kind(documents, "train.jsonl")) == documents
    mixed: tuple[tuple[list[Document], str], ...] = ((["a", CHAT], "found one in document 2"),)
    mixed += (([CHAT, CHAT, "a"], "found none in document 3"),)
    for documents, message in mixed:
        with pytest.raises(DataError, match=message):
            list(of_one_kind(documents, "train.jsonl"))


@pytest.mark.parametrize(
    "declared",
    [{"chat_turns": 1}, {"chat_roles": "all"}, {"answer_tokens": 3}],
    ids=lambda declared: str(declared),
)
def test_a_set_of_text_declares_nothing_of_conversations(declared: dict[str, Any]) -> None:
    check_no_chat(TrainingSet("train.txt"))
    [name] = declared
    with pytest.raises(SpecError, match=f"Conversations were expected in train.txt, as {name} are declared"):
        check_no_chat(TrainingSet("train.txt", **declared))


@pytest.mark.parametrize(
    ("declared", "found"),
    [
        ({"form": "blocks"}, 'form="blocks"'),
        ({"documents": "articles"}, 'documents="articles"'),
        ({"minimum_tokens": 5}, "minimum_tokens"),
        ({"chat_roles": "all", "chat_turns": 1}, "with chat_turns=1"),
    ],
)
def test_conversations_declare_nothing_that_is_of_text_alone(declared: dict[str, Any], found: str) -> None:
    with pytest.raises(SpecError, match=found):
        TurnEncoder(TrainingSet("chat.jsonl", **declared), None, Extraction())


def test_conversations_need_a_tokenizer() -> None:
    with pytest.raises(DataError, match=r"chat\.jsonl holds conversations, which need a tokenizer"):
        TurnEncoder(TrainingSet("chat.jsonl"), None, Extraction())
