"""Makes foreign text harmless: names, reasons and training text may hold any character."""

from __future__ import annotations

import unicodedata

# Unicode categories of control characters, format characters (which can reverse the direction of text), surrogates,
# line separators and paragraph separators.
CONTROL_CATEGORIES = ("Cc", "Cf", "Cs", "Zl", "Zp")
REPLACEMENT = "\ufffd"
MAX_LENGTH = 2000


def sanitize(text: str, max_length: int = MAX_LENGTH) -> str:
    """Return the text as one line of valid Unicode without control characters.

    Longer text is cut, and its length is appended.
    """
    kept = "".join(
        REPLACEMENT if unicodedata.category(character) in CONTROL_CATEGORIES else character
        for character in text[:max_length]
    )
    return kept if len(text) <= max_length else f"{kept}… ({len(text):,} characters)".replace(",", " ")
