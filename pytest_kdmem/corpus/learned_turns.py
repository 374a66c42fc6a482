"""Finds the turns of a rendered conversation that training took the loss of.

Answers are the tokens that the template marks as generated (`{% generation %}`). A template without marks is rendered
turn by turn: what stands before a turn, and all up to its end, must each begin the whole conversation, token for token.
Where it renders a turn otherwise once others follow, and for turns of other roles, the place of their text is found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pytest_kdmem.base.arrays import Flags, TokenIds
from pytest_kdmem.corpus.chat_template import WAY_OUT, ChatTemplate
from pytest_kdmem.corpus.conversations import Conversation
from pytest_kdmem.corpus.text_places import find_text, text_of
from pytest_kdmem.errors import DataError

# Conversations whose marked tokens are also held against their turns; a template marks others in the same way.
HELD_TOGETHER = 256
# Start and end of a turn, in tokens of its row.
Span = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Rendered:
    """Token ids of a whole row, and which of them training learned.

    Attributes:
        ids: Token ids ``[n]``.
        text: The rendered text.
        answers: Start and end of each answer that was learned, in order.
        others: Start and end of the text of each other turn, in order, where these are looked for.
    """

    ids: TokenIds
    text: str
    answers: tuple[Span, ...]
    others: tuple[Span, ...] = ()


class LearnedTurns:
    """Renders conversations and finds their learned turns.

    Args:
        template: The chat template.
        last: Number of the assistant's last turns that were learned; None if all were.
        finds_others: Whether the turns of other roles, and of prompts, are looked for as well.
    """

    def __init__(self, template: ChatTemplate, *, last: int | None = None, finds_others: bool = False) -> None:
        self._template, self._last, self._finds_others = template, last, finds_others
        self._rendered = 0

    def render(self, conversation: Conversation) -> Rendered:
        """Render a conversation and find its turns.

        Raises:
            DataError: The template refuses the conversation, or which tokens are of a turn is ambiguous.
        """
        self._rendered += 1
        text = self._template.text(conversation, conversation.messages)
        ids, answers = self._answers(conversation, text)
        others = self._others(conversation, text, ids) if self._finds_others else ()
        return Rendered(ids, text, tuple(answers), others)

    def _answers(self, conversation: Conversation, text: str) -> tuple[TokenIds, list[Span]]:
        if conversation.prompt is not None:
            # The answer begins where the conversation departs from its prompt with the header of an answer behind it.
            prompt = self._template.ids(conversation, conversation.messages[: conversation.prompt], header=True)
            ids = self._template.ids(conversation, conversation.messages)
            return ids, [(common_length(prompt, ids), len(ids))]
        ids, marked = self._template.marked_ids(conversation)
        if marked is None:
            return ids, [self._answer(conversation, turn, text, ids) for turn in self._learned(conversation)]
        return ids, self._marked_answers(conversation, ids, marked)

    def _others(self, conversation: Conversation, text: str, ids: TokenIds) -> tuple[Span, ...]:
        """The places of the texts of all turns that are no answers."""
        spans = []
        for turn in conversation.other_turns:
            if not text_of(conversation.messages[turn]):
                continue
            place = find_text(self._template, conversation, turn, text)
            if place is None:
                raise DataError(
                    f"The text of every turn was expected to stand in {conversation.where} as in its row, and"
                    f" {self._template.name} renders turn {turn + 1}, of the {conversation.messages[turn]['role']},"
                    ' otherwise; audit answers alone with chat_roles="assistant" (--kdmem-chat-roles), or rendered text'
                    ' with chat_columns="none".'
                )
            if place[0] < place[1]:  # else the template leaves the turn out
                spans.append(self._tokens(text, ids, place))
        return tuple(spans)

    def _tokens(self, text: str, ids: TokenIds, place: Span) -> Span:
        """The tokens at a place of the text; one that holds its first character and others before it is of the turn."""
        start, end = self._template.ids_of_texts([text[: place[0]], text[: place[1]]])
        return common_length(start, ids), common_length(end, ids)

    def _answer(self, conversation: Conversation, turn: int, text: str, ids: TokenIds) -> Span:
        """Start and end of a turn of the assistant, which begins behind its header."""
        outer = self._outer(conversation, turn, ids)
        if outer is not None:
            with_header = self._template.ids(conversation, conversation.messages[:turn], header=True)
            return max(outer[0], common_length(with_header, ids)), outer[1]
        if text_of(conversation.messages[turn]):
            place = find_text(self._template, conversation, turn, text)
            if place is not None and place[0] < place[1]:
                return self._tokens(text, ids, place)
        raise DataError(
            f"A turn of the assistant that stands in the conversation as it is rendered up to it, or as its text alone,"
            f" was expected in {conversation.where}; found that {self._template.name} renders turn {turn + 1} otherwise"
            " once others follow, and it marks no answers by {% generation %}: mark them in a copy of it and"
            f" {WAY_OUT}, or declare chat_turns=1 if the last answer alone was learned (--kdmem-chat-turns)."
        )

    def _outer(self, conversation: Conversation, turn: int, ids: TokenIds) -> Span | None:
        """Start and end of a turn with its header; None unless both renderings begin the whole one."""
        start = self._start(conversation, turn, ids)
        up_to = self._template.ids(conversation, conversation.messages[: turn + 1])
        is_beginning = len(up_to) == common_length(up_to, ids)
        return (start, len(up_to)) if is_beginning and start is not None and start < len(up_to) else None

    def _start(self, conversation: Conversation, turn: int, ids: TokenIds) -> int | None:
        """Where a turn begins with its header; None unless what stands before it begins the whole conversation."""
        before = self._template.ids(conversation, conversation.messages[:turn]) if turn else ids[:0]
        return len(before) if len(before) == common_length(before, ids) else None

    def _marked_answers(self, conversation: Conversation, ids: TokenIds, marked: Flags) -> list[Span]:
        """The marked runs of tokens of the learned turns."""
        edges = np.flatnonzero(np.diff(np.concatenate([[False], marked, [False]]).astype(np.int8)))
        runs = list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
        turns = self._learned(conversation)
        if len(runs) < len(turns):
            raise self._marks_differ(conversation, f"{len(runs)} answers in {len(turns)} turns")
        if self._rendered <= HELD_TOGETHER:
            self._hold_together(conversation, ids, runs)
        if len(turns) == len(conversation.turns):
            return runs
        start = self._start(conversation, turns[0], ids)
        if start is None:
            raise DataError(
                f"The assistant's last {len(turns)} turns were expected to be told apart from those before them in"
                f" {conversation.where}, and {self._template.name} renders what stands before turn {turns[0] + 1}"
                " otherwise once others follow; drop chat_turns if all were learned (--kdmem-chat-turns), or"
                f" {WAY_OUT}."
            )
        return [(max(first, start), last) for first, last in runs if last > start]

    def _hold_together(self, conversation: Conversation, ids: TokenIds, runs: Sequence[Span]) -> None:
        """Raise DataError if marked tokens lie outside of the assistant's turns, wherever these can be told."""
        outer = [self._outer(conversation, turn, ids) for turn in conversation.turns]
        spans = [span for span in outer if span is not None]
        if len(spans) < len(outer):
            return
        for start, end in runs:
            if not any(first <= start and end <= last for first, last in spans):
                raise self._marks_differ(conversation, f"tokens {start} to {end}, which are not of one turn")
        for first, last in spans:
            if not any(first <= start and end <= last for start, end in runs):
                raise self._marks_differ(conversation, f"none of tokens {first} to {last}, a turn of the assistant")

    def _marks_differ(self, conversation: Conversation, marked: str) -> DataError:
        return DataError(
            f"The assistant's turns were expected to be what {self._template.name} marks by {{% generation %}}, and in"
            f" {conversation.where} it marks {marked}; mend its marks, or {WAY_OUT}."
        )

    def _learned(self, conversation: Conversation) -> tuple[int, ...]:
        return conversation.turns if self._last is None else conversation.turns[-self._last :]


def common_length(first: TokenIds, second: TokenIds) -> int:
    """Number of tokens with which both begin."""
    shorter = min(len(first), len(second))
    differing = np.flatnonzero(first[:shorter] != second[:shorter])
    return int(differing[0]) if len(differing) else shorter
