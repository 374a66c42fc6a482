"""Makes the fields of a report harmless: names, reasons and addresses come from files, and may hold any character."""

from __future__ import annotations

from pytest_kdmem.errors.harmless import MAX_LENGTH, one_line, without_secrets


def sanitize(text: str, max_length: int = MAX_LENGTH) -> str:
    """Return the text as one line of valid Unicode without control characters and secrets.

    Longer text is cut, and its length is appended.
    """
    return one_line(without_secrets(text), max_length)
