"""What is drawn where a terminal has unicode and where it has not, and what no name may do to a terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from rich.box import ASCII as ASCII_BOX
from rich.box import ASCII2, ROUNDED, SIMPLE_HEAD, Box


@dataclass(frozen=True)
class Glyphs:
    """The signs of a terminal. ``heights`` are of a sparkline, from nothing to all."""

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
    replaced: tuple[tuple[str, str], ...] = ()

    def clean(self, text: str) -> str:
        """One line of text in the signs that the terminal has; what would steer a terminal becomes "?"."""
        for sign, plain in self.replaced:
            text = text.replace(sign, plain)
        text = "".join("?" if unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Zl", "Zp") else sign for sign in text)
        return text.encode("ascii", "replace").decode("ascii") if self.replaced else text

    def truncate(self, text: str, width: int) -> str:
        """``say`` in at most ``width`` columns."""
        said = self.clean(text[: 4 * width])  # whatever is said is no shorter than a quarter
        if len(said) <= width:
            return said
        return said[: max(0, width - len(self.ellipsis))] + self.ellipsis

    def sparkline(self, counts: Sequence[int]) -> str:
        """A sign a count, as high as its share of the greatest; a count of one is seen, too."""
        greatest = max(counts, default=0)
        steps = len(self.heights) - 1
        return "".join(self.heights[-(-steps * count // greatest) if greatest else 0] for count in counts)


PLAIN = (("≤", "<="), ("≥", ">="), ("×", "x"), ("…", "..."), ("–", "-"), ("→", "->"), ("−", "-"), ("∩", "&"))
UNICODE = Glyphs("✓", "✗", "●", "·", "█", "─", "…", " ▁▂▃▄▅▆▇█", SIMPLE_HEAD, ROUNDED)
ASCII = Glyphs("+", "x", "x", ".", "#", "-", "...", " .:-=+*#", ASCII2, ASCII_BOX, PLAIN)
