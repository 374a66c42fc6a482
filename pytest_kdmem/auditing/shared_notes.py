"""Says once what an audit warns of several models in the same words: that some documents are as unlikely as noise."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pytest_kdmem.scoring.reading_check import MIXED

NOTE = re.compile(rf"(?P<subject>.+?): (?P<unlikely>\d+) of (?P<documents>\d+) {re.escape(MIXED)}", re.DOTALL)


def with_shared_notes(warnings: Iterable[str]) -> tuple[str, ...]:
    """Return warnings in their order, in which this note stands once, with all models and sets that it is of.

    Of models that find different numbers of documents unlikely it has the greatest.
    """
    shared: dict[str, list[re.Match[str]]] = {}
    for warning in warnings:
        note = NOTE.fullmatch(warning)
        shared.setdefault(f"of {note['documents']}" if note else warning, []).extend([note] if note else [])
    return tuple(_merged(notes) if notes else warning for warning, notes in shared.items())


def _merged(notes: list[re.Match[str]]) -> str:
    numbers = {int(note["unlikely"]) for note in notes}
    subjects = ", ".join(note["subject"] for note in notes)
    up_to = "up to " * (len(numbers) > 1)
    return f"{subjects}: {up_to}{max(numbers)} of {notes[0]['documents']} {MIXED}"
