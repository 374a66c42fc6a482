"""Turns conversations into token ids by the chat template of a tokenizer, and finds which of them are the assistant's.

They are those that the template marks as generated (`{% generation %}`). A template without marks is rendered turn by
turn: what stands before a turn, and all up to its end, must each begin the whole conversation, token for token.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from pytest_kdmem.base.arrays import Flags, TokenIds
from pytest_kdmem.corpus.conversations import Conversation, Message
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.errors.harmless import named

MARKS = re.compile(r"\{%-?\s*generation\s*-?%\}")
# Conversations whose marked tokens are also held against their turns; a template marks others in the same way.
HELD_TOGETHER = 256
WAY_OUT = "declare chat_template, a file with the template that training used (--kdmem-chat-template)"


class TodayShown(Exception):
    """A template shows the date of the day on which it is rendered."""


@dataclass(frozen=True, eq=False)
class Rendered:
    """Token ids of a whole conversation, and which of them training learned.

    Attributes:
        ids: Token ids ``[n]``.
        text: The rendered text.
        answers: Start and end of each answer that was learned, in order.
    """

    ids: TokenIds
    text: str
    answers: tuple[tuple[int, int], ...]


class ChatTemplate:
    """The chat template of a tokenizer.

    Args:
        tokenizer: Tokenizer of transformers.
        folder: Its folder, in messages.
        file: File with another template than its own, or None.
        turns: Number of the assistant's last turns that were learned; None if all were.

    Raises:
        SpecError: There is no template.
    """

    def __init__(self, tokenizer: Any, folder: Path, *, file: str | None = None, turns: int | None = None) -> None:
        self._tokenizer = tokenizer
        self._turns = turns
        self._rendered = 0
        self._name = f"the chat template in {file or folder}"
        self._template = None if file is None else _read_template(Path(file))
        if self._template is None and not tokenizer.chat_template:
            raise SpecError(
                f"A chat template was expected in {folder}, as the training set holds conversations; {WAY_OUT}."
            )

    @property
    def eos_token(self) -> str | None:
        """Text of the token that ends a sequence; None if the tokenizer has none."""
        eos: str | None = self._tokenizer.eos_token
        return eos

    def render(self, conversation: Conversation) -> Rendered:
        """Render a conversation and find its answers.

        Raises:
            DataError: The template refuses the conversation, or which tokens are the assistant's is ambiguous.
        """
        self._rendered += 1
        text: str = self._apply(conversation, conversation.messages, tokenize=False)
        if conversation.prompt is not None:
            return self._behind_prompt(conversation, text)
        ids, marked = self._ids(conversation, conversation.messages, marks=self._has_marks(conversation))
        if marked is None:
            answers = [self._answer(conversation, turn, ids) for turn in self._learned_turns(conversation)]
        else:
            answers = self._marked_answers(conversation, ids, marked)
        return Rendered(ids, text, tuple(answers))

    def _behind_prompt(self, conversation: Conversation, text: str) -> Rendered:
        """The answer begins where the conversation departs from its prompt with the header of an answer behind it."""
        prompt, _ = self._ids(conversation, conversation.messages[: conversation.prompt], header=True)
        ids, _ = self._ids(conversation, conversation.messages)
        return Rendered(ids, text, ((_common_length(prompt, ids), len(ids)),))

    def _answer(self, conversation: Conversation, turn: int, ids: TokenIds) -> tuple[int, int]:
        """Start and end of a turn of the assistant, which begins behind its header."""
        outer = self._outer(conversation, turn, ids)
        if outer is None:
            raise DataError(
                f"A turn of the assistant that begins and ends where the conversation is rendered up to it was expected"
                f" in {conversation.where}; found that {self._name} renders turn {turn + 1} otherwise once others"
                " follow, and it marks no answers by {% generation %}: mark them in a copy of it and"
                f" {WAY_OUT}, or declare chat_turns=1 if the last answer alone was learned (--kdmem-chat-turns)."
            )
        with_header, _ = self._ids(conversation, conversation.messages[:turn], header=True)
        return max(outer[0], _common_length(with_header, ids)), outer[1]

    def _outer(self, conversation: Conversation, turn: int, ids: TokenIds) -> tuple[int, int] | None:
        """Start and end of a turn with its header; None unless both renderings begin the whole one."""
        before = self._ids(conversation, conversation.messages[:turn])[0] if turn else ids[:0]
        up_to, _ = self._ids(conversation, conversation.messages[: turn + 1])
        is_beginning = all(len(part) == _common_length(part, ids) for part in (before, up_to))
        return (len(before), len(up_to)) if is_beginning and len(before) < len(up_to) else None

    def _marked_answers(self, conversation: Conversation, ids: TokenIds, marked: Flags) -> list[tuple[int, int]]:
        """The marked runs of tokens of the learned turns."""
        edges = np.flatnonzero(np.diff(np.concatenate([[False], marked, [False]]).astype(np.int8)))
        runs = list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
        turns = self._learned_turns(conversation)
        if len(runs) < len(turns):
            raise self._marks_differ(conversation, f"{len(runs)} answers in {len(turns)} turns")
        if self._rendered <= HELD_TOGETHER:
            self._hold_together(conversation, ids, runs)
        return runs if self._turns is None else runs[-self._turns :]

    def _hold_together(self, conversation: Conversation, ids: TokenIds, runs: Sequence[tuple[int, int]]) -> None:
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
            f"The assistant's turns were expected to be what {self._name} marks by {{% generation %}}, and in"
            f" {conversation.where} it marks {marked}; mend its marks, or {WAY_OUT}."
        )

    def _learned_turns(self, conversation: Conversation) -> tuple[int, ...]:
        return conversation.turns if self._turns is None else conversation.turns[-self._turns :]

    def _has_marks(self, conversation: Conversation) -> bool:
        tools = conversation.settings.get("tools")
        return MARKS.search(self._tokenizer.get_chat_template(self._template, tools)) is not None

    def _ids(
        self, conversation: Conversation, messages: Sequence[Message], *, header: bool = False, marks: bool = False
    ) -> tuple[TokenIds, Flags | None]:
        """Token ids of messages, and which of them are marked.

        Args:
            conversation: The conversation that they are of.
            messages: The messages.
            header: Whether the header of an answer stands behind them.
            marks: Whether the template marks answers.
        """
        encoding = self._apply(
            conversation,
            messages,
            add_generation_prompt=header,
            tokenize=True,
            return_dict=True,
            return_assistant_tokens_mask=marks,
            tokenizer_kwargs={"verbose": False},
        )
        marked = np.asarray(encoding["assistant_masks"], dtype=bool) if marks else None
        return np.asarray(encoding["input_ids"], dtype=np.int32), marked

    def _apply(self, conversation: Conversation, messages: Sequence[Message], **arguments: Any) -> Any:
        from jinja2 import TemplateError

        try:
            return self._tokenizer.apply_chat_template(
                list(messages),
                chat_template=self._template,
                strftime_now=_refuse_today,
                **conversation.settings,
                **arguments,
            )
        except TodayShown:
            raise DataError(
                f"A template that renders {conversation.where} as training did was expected, and {self._name} shows"
                f" today's date; give that of training as date_string in a column chat_template_kwargs, or {WAY_OUT}."
            ) from None
        except TemplateError as error:
            raise DataError(
                f"{conversation.where} was expected to be a conversation that {self._name} renders, and it refuses"
                f" ({named(str(error))}); drop the row, or {WAY_OUT}."
            ) from None
        except Exception as error:  # templates run code of their own on any value; its message may hold training text
            raise DataError(
                f"{conversation.where} was expected to be a conversation that {self._name} renders, and"
                f" {type(error).__name__} ended it; drop the row, or {WAY_OUT}."
            ) from None


def _refuse_today(format: str) -> NoReturn:
    raise TodayShown


def _read_template(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise SpecError(
            f"A chat template was expected at {path}, and no text can be read there; check the path."
        ) from None


def _common_length(first: TokenIds, second: TokenIds) -> int:
    """Number of tokens with which both begin."""
    shorter = min(len(first), len(second))
    differing = np.flatnonzero(first[:shorter] != second[:shorter])
    return int(differing[0]) if len(differing) else shorter
