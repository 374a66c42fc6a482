"""The share of a set that a figure is of: nothing is known of examples that are too short, so most must be longer."""

from __future__ import annotations

from pytest_kdmem.base.text import count, percent
from pytest_kdmem.errors import SpecError
from pytest_kdmem.scoring.table import ScoreTable


def check_scored_share(scores: ScoreTable, least: float) -> None:
    """Check that enough of a set was long enough to be scored.

    Args:
        scores: Score table of a model over the set.
        least: Least share of the examples, from 0 to 1.

    Raises:
        SpecError: The share is lower.
    """
    record, extraction = scores.record, scores.extraction
    scored = record.examples - record.too_short
    if scored >= least * record.examples:
        return
    raise SpecError(
        f"At least {percent(least)} of the examples of {scores.training_set.label} were expected to be as long as"
        f" prefix and suffix ({extraction.scored_tokens} tokens), and {count(scored)} of {count(record.examples)} are,"
        " so that a figure would be of nearly none of them; ask for fewer --kdmem-prefix-tokens and"
        " --kdmem-suffix-tokens, leave short documents out where the set is declared (minimum_tokens=…), or lower"
        " --kdmem-min-scored-share."
    )
