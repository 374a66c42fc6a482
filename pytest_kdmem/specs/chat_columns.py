"""How a training set names the columns of its conversations, such as ``user=instruction+input,assistant=output``.

PYTEST_DONT_REWRITE: every run of pytest loads this module, and it has no assert.
"""

from __future__ import annotations

from dataclasses import dataclass

# Rows are read as text or token ids, whatever columns of conversations they have.
NONE = "none"
# What a column, or several, can stand for: a list of messages, both sides of a completion, or the text of one message.
MESSAGES = ("messages",)
COMPLETION = ("prompt", "completion")
TEXTS = ("system", "user", "assistant")
EXPECTED = (
    "none, messages=COLUMN, prompt=COLUMN,completion=COLUMN, or user=COLUMN+COLUMN,assistant=COLUMN with or without"
    " system=COLUMN"
)


@dataclass(frozen=True)
class ChatColumns:
    """The columns of one kind of conversation.

    Attributes:
        columns: For each part of a conversation, the columns that hold it; several are joined by line ends.
    """

    columns: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of a conversation: ``messages``; ``prompt`` and ``completion``; or roles."""
        return tuple(part for part, _ in self.columns)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all columns."""
        return tuple(name for _, names in self.columns for name in names)


def parse_chat_columns(text: str) -> ChatColumns:
    """Parse the columns of conversations.

    Raises:
        ValueError: The text has another form.
    """
    columns = []
    for entry in text.split(","):
        part, equals, names = (word.strip() for word in entry.partition("="))
        columns.append((part, tuple(name.strip() for name in names.split("+")) if equals else (part,)))
    parts = [part for part, _ in columns]
    is_texts = set(parts) in ({*TEXTS}, {*TEXTS[1:]})
    is_known = tuple(parts) == MESSAGES or set(parts) == set(COMPLETION) or is_texts
    is_single = is_texts or all(len(names) == 1 for _, names in columns)
    if not (
        is_known and is_single and len(set(parts)) == len(parts) and all(name for _, names in columns for name in names)
    ):
        raise ValueError(EXPECTED)
    # A system message comes first, whatever order the parts are named in.
    order = (*MESSAGES, *COMPLETION, *TEXTS)
    return ChatColumns(tuple(sorted(columns, key=lambda entry: order.index(entry[0]))))


def chat_columns(value: object) -> str:
    """Columns of conversations as they are declared, or ``none``."""
    if isinstance(value, str):
        try:
            if value != NONE:
                parse_chat_columns(value)
            return ""
        except ValueError:
            pass
    return f"of the form {EXPECTED}"
