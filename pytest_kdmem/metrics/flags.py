"""The three readings of a verdict, by which figures get their bounds."""

from __future__ import annotations

from typing import Literal

# Columns of what is memorized: as observed, whatever the kernel and batch size, and if every ambiguous verdict counts.
FlagColumn = Literal["memorized", "sure", "possible"]
FLAG_COLUMNS: tuple[FlagColumn, ...] = ("memorized", "sure", "possible")
