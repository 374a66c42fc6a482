"""Foreign text made harmless: names, reasons and texts of a training set may hold anything."""

from __future__ import annotations

import unicodedata

# Controls, format signs (which turn the direction of text), surrogates, line and paragraph separators.
STEERING = ("Cc", "Cf", "Cs", "Zl", "Zp")
REPLACEMENT = "\ufffd"
LONGEST = 2000


def sanitize(text: str, longest: int = LONGEST) -> str:
    """One line of valid unicode that steers nothing; what is longer is cut, and says so."""
    shown = "".join(REPLACEMENT if unicodedata.category(sign) in STEERING else sign for sign in text[:longest])
    return shown if len(text) <= longest else f"{shown}… ({len(text):,} characters)".replace(",", " ")
