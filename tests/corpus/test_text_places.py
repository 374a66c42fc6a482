"""The text of a message is placed where a rendered conversation changes with it alone, or nowhere."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_kdmem.corpus.conversations import Conversation
from pytest_kdmem.corpus.text_places import STAND_IN, find_text, text_of

MESSAGES = ({"role": "user", "content": "hi"}, {"role": "assistant", "content": "hi"})


def template(render: Callable[[list[str]], str]) -> Any:
    return SimpleNamespace(text=lambda conversation, messages: render([text_of(each) for each in messages]))


def place(render: Callable[[list[str]], str], at: int) -> tuple[int, int] | None:
    rendered = render([text_of(each) for each in MESSAGES])
    return find_text(template(render), Conversation(MESSAGES, "row 1"), at, rendered)


@pytest.mark.parametrize(
    ("render", "places"),
    [
        (lambda texts: f"<{texts[0]}><{texts[1]}>", [(1, 3), (5, 7)]),  # of two same texts each its own
        (lambda texts: f"<{texts[1]}>", [(0, 0), (1, 3)]),  # the first is left out
        (lambda texts: f"<{texts[0]}><{texts[1].upper()}>", [(1, 3), (5, 7)]),
        (lambda texts: f"{len(texts[0])}<{texts[0]}><{texts[1]}>", [None, (6, 8)]),  # more depends on it
        (lambda texts: "short" if texts[0] == "hi" else "long", [None, (0, 0)]),
    ],
)
def test_a_text_has_a_place_if_nothing_else_depends_on_it(render, places):
    assert [place(render, at) for at in (0, 1)] == places


def test_a_conversation_that_holds_the_stand_in_has_no_places() -> None:
    messages = ({"role": "user", "content": STAND_IN},)
    render = lambda texts: f"<{texts[0]}>"  # noqa: E731
    assert find_text(template(render), Conversation(messages, "row 1"), 0, f"<{STAND_IN}>") is None


def test_content_may_be_parts_or_nothing() -> None:
    parts = [{"type": "text", "text": "first"}, {"type": "text", "text": "second"}]
    assert text_of({"role": "user", "content": parts}) == "first\nsecond"
    assert text_of({"role": "assistant", "content": None}) == ""
    assert text_of({"role": "assistant"}) == ""
