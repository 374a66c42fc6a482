"""Sentences about run cards by which reports know what an audit warned of. Reports are read without models or rows."""

from __future__ import annotations

SHOWN_DIGITS = 4
OTHER_WEIGHTS = "belongs to other weights"
# Begins what a warning says of a training set that is not that of a run card.
OTHER_SET = "and this audit's training set"


def card_warning(subject: str, problem: str) -> str:
    """Return the warning of a run card that is not trusted, by which reports know it."""
    return f"run card of {subject} {problem}"


def shorten_digest(digest: str) -> str:
    """Return the first digits of a digest, enough to tell two models apart at a glance."""
    return f"{digest[:SHOWN_DIGITS]}…"
