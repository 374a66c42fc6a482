"""Conversations as rows of a training set hold them, checked before any template turns them into token ids."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_kdmem.errors import DataError
from pytest_kdmem.errors.harmless import listed, quoted

ASSISTANT = "assistant"
ROLES = ("system", "developer", "user", ASSISTANT, "tool")
# Names of roles in ShareGPT's format, whose messages have the keys `from` and `value`.
SHAREGPT_ROLES = {"human": "user", "gpt": ASSISTANT}
# Columns that TRL hands to the template beside the messages.
TOOLS, TEMPLATE_KWARGS = "tools", "chat_template_kwargs"
BESIDE = (TOOLS, TEMPLATE_KWARGS)
# Arguments of `apply_chat_template` that say how it is called, and not what a template shows.
NO_SETTINGS = (
    *("conversation", "documents", "chat_template", "add_generation_prompt", "continue_final_message", "tokenize"),
    *("padding", "truncation", "max_length", "return_tensors", "return_dict", "return_assistant_tokens_mask"),
    "tokenizer_kwargs",
)
# Columns that would put what is no text into a conversation.
MEDIA = ("images", "image", "videos", "audio")

Message = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Conversation:
    """Messages that a chat template turns into text.

    Attributes:
        messages: The messages, in order.
        where: The row, in messages to users.
        prompt: Number of messages of a prompt, behind which all is learned; None if the assistant's turns are.
        settings: Arguments for the template: ``tools``, and those that a row brings.
    """

    messages: tuple[Message, ...]
    where: str
    prompt: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def turns(self) -> tuple[int, ...]:
        """Indices of the messages that are the assistant's."""
        return tuple(at for at, message in enumerate(self.messages) if message["role"] == ASSISTANT)

    @property
    def other_turns(self) -> tuple[int, ...]:
        """Indices of the messages that are no answers: those of a prompt, else those of other roles."""
        if self.prompt is not None:
            return tuple(range(self.prompt))
        return tuple(at for at, message in enumerate(self.messages) if message["role"] != ASSISTANT)


@dataclass(frozen=True)
class Completion:
    """A prompt and its completion as plain text, without any template.

    Attributes:
        prompt: The prompt.
        completion: What training learned to write behind it.
        where: The row, in messages to users.
    """

    prompt: str
    completion: str
    where: str


ChatRow = Conversation | Completion


def from_messages(value: Any, row: Mapping[str, Any], where: str) -> Conversation:
    """A conversation whose assistant's turns were learned.

    Raises:
        DataError: The value is no list of messages, or the assistant says nothing.
    """
    conversation = Conversation(_messages(value, where), where, None, _settings(row, where))
    if not conversation.turns:
        raise DataError(
            f"A turn of the assistant was expected in {where}; found {listed(_roles(conversation.messages))}: drop"
            " conversations from which nothing was learned."
        )
    return conversation


def from_completion(prompt: Any, completion: Any, row: Mapping[str, Any], where: str) -> ChatRow:
    """A prompt with its completion: two texts, or two lists of messages.

    Raises:
        DataError: The values are neither.
    """
    if isinstance(prompt, str) and isinstance(completion, str):
        return Completion(_clean(prompt), _clean(completion), where)
    if isinstance(prompt, str) or isinstance(completion, str):
        raise DataError(
            f"Two texts or two lists of messages were expected as prompt and completion in {where}; found"
            f" {type(prompt).__name__} and {type(completion).__name__}."
        )
    before, after = _messages(prompt, where), _messages(completion, where)
    return Conversation((*before, *after), where, len(before), _settings(row, where))


def from_texts(texts: Mapping[str, Sequence[Any]], row: Mapping[str, Any], where: str) -> Conversation:
    """A conversation of one message for each role, whose text several columns hold; empty columns are left out.

    Raises:
        DataError: A value is no text, or there is no text of the user or the assistant.
    """
    messages = []
    for role, values in texts.items():
        if wrong := [value for value in values if not isinstance(value, str | None)]:
            raise DataError(f"Text was expected of the {role} in {where}; found {type(wrong[0]).__name__}.")
        text = "\n".join(_clean(value) for value in values if value)
        if text:
            messages.append({"role": role, "content": text})
        elif role != "system":
            raise DataError(f"Text of the {role} was expected in {where}, and its columns are empty; drop the row.")
    return Conversation(tuple(messages), where, None, _settings(row, where))


def chat_to_json(row: ChatRow) -> str:
    """The row as JSON text, for another process.

    Raises:
        DataError: A message holds what JSON cannot.
    """
    try:
        return json.dumps(vars(row))
    except (TypeError, ValueError):
        raise DataError(f"Values that JSON has were expected in the messages of {row.where}; found others.") from None


def chat_from_json(text: str) -> ChatRow:
    """The row of what `chat_to_json` returns."""
    values = json.loads(text)
    if "messages" not in values:
        return Completion(**values)
    return Conversation(**{**values, "messages": tuple(values["messages"])})


def _messages(value: Any, where: str) -> tuple[Message, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(message, dict) for message in value):
        raise DataError(
            f"A list of messages, each with role and content, was expected in {where}; found"
            f" {type(value).__name__ if value or not isinstance(value, list) else 'an empty list'}."
        )
    return tuple(_message(message, where) for message in value)


def _message(message: Message, where: str) -> Message:
    """A message with the keys `role` and `content`, and all others that it has."""
    renamed = {{"from": "role", "value": "content"}.get(key, key): entry for key, entry in message.items()}
    if "from" in message and isinstance(message["from"], str):
        renamed["role"] = SHAREGPT_ROLES.get(message["from"], message["from"])
    if renamed.get("role") not in ROLES:
        raise DataError(
            f"Roles {', '.join(ROLES)} were expected in {where}; found {quoted(renamed.get('role'))}: rename it to the"
            " role that training had."
        )
    if not _is_text(renamed.get("content")) and not (renamed.get("content") is None and _has_more(renamed)):
        raise DataError(
            f"Text was expected as content of the {renamed['role']}'s message in {where}; found"
            f" {type(renamed.get('content')).__name__}: audit conversations of text alone."
        )
    cleaned: Message = _clean(renamed)
    return cleaned


def _is_text(content: Any) -> bool:
    """Whether content is text, or a list of parts that are text."""
    if isinstance(content, list):
        return all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in content)
    return isinstance(content, str)


def _has_more(message: Message) -> bool:
    """Whether an assistant's message without content has something else to say, as calls of tools."""
    return message["role"] == ASSISTANT and any(
        entry for key, entry in message.items() if key not in ("role", "content", "name")
    )


def _settings(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The arguments that TRL gives to the template: the row's tools, and its own settings."""
    if media := [name for name in MEDIA if row.get(name)]:
        raise DataError(
            f"Conversations of text were expected, and {where} has {listed(media)}; audit rows without them."
        )
    tools, own = row.get(TOOLS), row.get(TEMPLATE_KWARGS)
    if isinstance(tools, str):
        try:
            tools = json.loads(tools)
        except ValueError:
            raise DataError(f"A list of tools, or one as JSON, was expected in {where}; found another text.") from None
    if not isinstance(tools, list | None) or not isinstance(own, dict | None):
        raise DataError(
            f"A list of tools and a mapping of chat_template_kwargs were expected in {where}; found"
            f" {type(tools).__name__} and {type(own).__name__}."
        )
    if own and (unusable := [key for key in own if key in NO_SETTINGS]):
        raise DataError(
            f"Settings that the template reads were expected as chat_template_kwargs in {where}; found"
            f" {listed(unusable)}."
        )
    return {TOOLS: tools, **(own or {})}


def _clean(value: Any) -> Any:
    """The value without lone surrogates, which JSON can hold and no tokenizer accepts: each becomes "?"."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {_clean(key): _clean(entry) for key, entry in value.items()}
    return [_clean(entry) for entry in value] if isinstance(value, list) else value


def _roles(messages: Sequence[Message]) -> list[str]:
    return list(dict.fromkeys(message["role"] for message in messages))
