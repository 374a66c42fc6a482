"""The characters that terminal reports are drawn with, in Unicode and in ASCII."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from rich.box import ASCII as ASCII_BOX
from rich.box import ASCII2, ROUNDED, SIMPLE_HEAD, Box

from pytest_kdmem.errors.harmless import CONTROL_CATEGORIES, without_secrets


@dataclass(frozen=True)
class Glyphs:
    """The characters of one kind of terminal.

    Attributes:
        heights: Characters of a sparkline, from empty to full.
        replacements: Pairs of a character and its spelling in ASCII; empty where the terminal has Unicode.
    """

    passed: str
    failed: str
    yes: str
    no: str
    bar: str
    rule: str
    ellipsis: str
    heights: str
    box: Box
    panel: Box
    replacements: tuple[tuple[str, str], ...] = ()

    def clean(self, text: str) -> str:
        """Return one line of text in the terminal's characters, without secrets and with "?" for control characters."""
        text = without_secrets(text)
        for character, spelling in self.replacements:
            text = text.replace(character, spelling)
        text = "".join(
            "?" if unicodedata.category(character) in CONTROL_CATEGORIES else character for character in text
        )
        return text.encode("ascii", "replace").decode("ascii") if self.replacements else text

    def truncate(self, text: str, width: int) -> str:
        """Return the cleaned text, cut to at most ``width`` characters."""
        cleaned = self.clean(without_secrets(text)[: 4 * width])  # no more is shown
        if len(cleaned) <= width:
            return cleaned
        return cleaned[: max(0, width - len(self.ellipsis))] + self.ellipsis

    def keep_end(self, text: str, width: int) -> str:
        """Return the cleaned text, or of a longer one the last ``width`` characters, which tell paths apart."""
        cleaned = self.clean(text)
        if len(cleaned) <= width:
            return cleaned
        return self.ellipsis + cleaned[len(cleaned) - max(0, width - len(self.ellipsis)) :]

    def sparkline(self, counts: Sequence[int]) -> str:
        """Return one character per count, as high as its share of the greatest; no count above 0 looks empty."""
        greatest = max(counts, default=0)
        steps = len(self.heights) - 1
        return "".join(self.heights[-(-steps * count // greatest) if greatest else 0] for count in counts)


ASCII_SPELLINGS = (
    ("≤", "<="), ("≥", ">="), ("×", "x"), ("…", "..."), ("–", "-"), ("→", "->"), ("−", "-"), ("∩", "&"),
)  # fmt: skip
UNICODE = Glyphs("✓", "✗", "●", "·", "█", "─", "…", " ▁▂▃▄▅▆▇█", SIMPLE_HEAD, ROUNDED)
ASCII = Glyphs("+", "x", "x", ".", "#", "-", "...", " .:-=+*#", ASCII2, ASCII_BOX, ASCII_SPELLINGS)
