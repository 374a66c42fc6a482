"""The share of a set that a figure is of: nothing is known of examples that are too short, so most must be longer."""

from __future__ import annotations

import pyarrow.compute as pc

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
        " so a figure would cover almost none of them; set fewer --kdmem-prefix-tokens and --kdmem-suffix-tokens,"
        " leave short documents out where the set is declared (minimum_tokens=…), or lower --kdmem-min-scored-share."
    )


def short_copies_warning(scores: ScoreTable) -> str:
    """Return a warning of examples that are too short and stand several times, as these are recited first; else "".

    A sample is drawn of what is long enough, so of a sample nothing can be told.
    """
    rows = scores.rows
    copies = rows.filter(pc.equal(rows["status"], "too_short")).group_by("digest").aggregate([("example_id", "count")])
    most = pc.max(copies["example_id_count"]).as_py() or 0
    if most < 2:
        return ""
    shown = "1 distinct example" if len(copies) == 1 else f"{count(len(copies))} distinct examples"
    return (
        f"{shown} of {scores.training_set.label} {'is' if len(copies) == 1 else 'are'} too short to be looked at, and"
        f" stand{'s' if len(copies) == 1 else ''} there up to {count(most)} times: what stands often is recited first"
        " (fewer --kdmem-prefix-tokens and --kdmem-suffix-tokens reach shorter examples)"
    )


def check_whole_prompts(scores: ScoreTable, least: float) -> str:
    """Check that enough answers of conversations stand behind their whole prompt, and return a warning if some do not.

    Args:
        scores: Score table of a model over the set.
        least: Least share of the scored answers, from 0 to 1, where the model has positions for more of a prompt.

    Raises:
        SpecError: The share is lower.
    """
    record, window, positions = scores.record, scores.extraction.window_tokens, scores.checkpoint.positions
    scored = record.examples - record.too_short
    if not record.cut_prompts:
        return ""
    cut = (
        f"{count(record.cut_prompts)} of {count(scored)} answers of {scores.training_set.label} follow prompts that"
        f" the window of {count(window)} tokens cuts off"
    )
    if scored - record.cut_prompts >= least * scored or (positions is not None and window >= positions):
        return f"{cut}: answers that are recited only after whole prompts are not found"
    raise SpecError(
        f"Most answers were expected to follow their whole prompts, and {cut}, so they are not audited as training"
        " read them; audit with the window of training (--kdmem-window-tokens), or lower --kdmem-min-scored-share if"
        " training cut its prompts in this way."
    )
