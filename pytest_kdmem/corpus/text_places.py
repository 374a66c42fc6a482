"""Finds where the text of a message stands in a rendered conversation: where this changes with that text alone."""

from __future__ import annotations

from pytest_kdmem.corpus.chat_template import ChatTemplate
from pytest_kdmem.corpus.conversations import Conversation, Message

# Stands for the text; characters for private use, which templates do not look for, and texts hardly hold.
STAND_IN = "\uf8d0\uf8d1\uf8d2"


def find_text(template: ChatTemplate, conversation: Conversation, at: int, rendered: str) -> tuple[int, int] | None:
    """Start and end of the text of a message, in characters; the same place twice if the template leaves it out.

    Args:
        template: The chat template.
        conversation: The conversation.
        at: Index of the message.
        rendered: The whole conversation as the template renders it.

    Returns:
        the place, or None if more of the conversation depends on that text, so that its place is not known.

    Raises:
        DataError: The template refuses the conversation with another text.
    """
    messages = list(conversation.messages)
    messages[at] = _with_text(messages[at], STAND_IN)
    changed = template.text(conversation, messages)
    if STAND_IN in rendered:
        return None
    if STAND_IN not in changed:
        return (0, 0) if changed == rendered else None
    before, behind = changed.partition(STAND_IN)[0], changed.rpartition(STAND_IN)[2]
    is_same = rendered.startswith(before) and rendered.endswith(behind) and len(before) + len(behind) <= len(rendered)
    return (len(before), len(rendered) - len(behind)) if is_same else None


def text_of(message: Message) -> str:
    """The text of a message, whose content may be a list of parts; empty if it has none."""
    content = message.get("content")
    if isinstance(content, list):
        return "\n".join(part["text"] for part in content)
    return content or ""


def _with_text(message: Message, text: str) -> Message:
    """The message with another text, in the same form."""
    content = message["content"]
    return {**message, "content": [{**content[0], "text": text}] if isinstance(content, list) else text}
