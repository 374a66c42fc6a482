"""Turns conversations into text and token ids by the chat template of a tokenizer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from pytest_kdmem.base.arrays import Flags, TokenIds
from pytest_kdmem.corpus.conversations import Conversation, Message
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.errors.harmless import named
from pytest_kdmem.specs.chat_templates import read_template

MARKS = re.compile(r"\{%-?\s*generation\s*-?%\}")
WAY_OUT = "declare chat_template, a file with the template that training used (--kdmem-chat-template)"


class TodayShown(Exception):
    """A template shows the date of the day on which it is rendered."""


class ChatTemplate:
    """The chat template of a tokenizer.

    Args:
        tokenizer: Tokenizer of transformers.
        folder: Its folder, in messages.
        file: File with another template than its own, or None.

    Attributes:
        name: The template in messages.

    Raises:
        SpecError: There is no template.
    """

    def __init__(self, tokenizer: Any, folder: Path, *, file: str | None = None) -> None:
        self._tokenizer = tokenizer
        self.name = f"the chat template in {file or folder}"
        self._template = None if file is None else read_template(Path(file))
        if self._template is None and not tokenizer.chat_template:
            raise SpecError(
                f"A chat template was expected in {folder}, as the training set holds conversations; {WAY_OUT}."
            )

    def text(self, conversation: Conversation, messages: Sequence[Message]) -> str:
        """The text of messages.

        Args:
            conversation: The conversation that they are of.
            messages: The messages.

        Raises:
            DataError: The template refuses them, or shows today's date.
        """
        text: str = self._apply(conversation, messages, tokenize=False)
        return text

    def ids(self, conversation: Conversation, messages: Sequence[Message], *, header: bool = False) -> TokenIds:
        """Token ids ``[n]`` of messages, with the header of an answer behind them if asked for; raises as `text`."""
        return self._ids(conversation, messages, header=header)[0]

    def marked_ids(self, conversation: Conversation) -> tuple[TokenIds, Flags | None]:
        """Token ids ``[n]`` of a whole conversation, and which of them are marked as generated, bool ``[n]``; None if
        the template marks none. Raises as `text`.
        """
        tools = conversation.settings.get("tools")
        has_marks = MARKS.search(self._tokenizer.get_chat_template(self._template, tools)) is not None
        return self._ids(conversation, conversation.messages, marks=has_marks)

    def ids_of_texts(self, texts: Sequence[str]) -> list[TokenIds]:
        """Token ids ``[n]`` of each of some texts, as they are in rendered conversations."""
        if not texts:
            return []
        encoding = self._tokenizer(list(texts), add_special_tokens=False, verbose=False)
        return [np.asarray(ids, dtype=np.int32) for ids in encoding["input_ids"]]

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
                f"A template that renders {conversation.where} as training did was expected, and {self.name} shows"
                f" today's date; give that of training as date_string in a column chat_template_kwargs, or {WAY_OUT}."
            ) from None
        except TemplateError as error:
            raise DataError(
                f"{conversation.where} was expected to be a conversation that {self.name} renders, and it refuses"
                f" ({named(str(error))}); drop the row, or {WAY_OUT}."
            ) from None
        except Exception as error:  # templates run code of their own on any value; its message may hold training text
            raise DataError(
                f"{conversation.where} was expected to be a conversation that {self.name} renders, and"
                f" {type(error).__name__} ended it; drop the row, or {WAY_OUT}."
            ) from None


def _refuse_today(format: str) -> NoReturn:
    raise TodayShown
