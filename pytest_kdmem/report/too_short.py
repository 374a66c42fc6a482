"""What of a training set was too short to be looked at, as all reports tell it."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema import DataEntry
from pytest_kdmem.base.text import count


def too_short_text(audit: AuditResult) -> str:
    """Return what of the training set was too short to be looked at; empty if nothing was."""
    return "; ".join(too_short_phrases(audit.training_set)) if audit.training_set is not None else ""


def too_short_phrases(data: DataEntry) -> Iterator[str]:
    """Yield what of a set has fewer tokens than prefix and suffix, and what is below the set's own least length."""
    if data.too_short:
        yield str(data.short)
    if data.left_out:
        yield number(data.left_out, "shorter document that was left out", "shorter documents that were left out")


def number(things: int, name: str, several: str = "") -> str:
    """Return a number of things with their name."""
    return f"{count(things)} {name if things == 1 else several or f'{name}s'}"
