"""The share of a set that a figure is of: nothing is known of examples that are too short, so most must be longer."""

from __future__ import annotations

from pytest_kdmem.base.text import count, last_part, percent
from pytest_kdmem.errors import SpecError
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.scoring.table import ScoreTable
from pytest_kdmem.scoring.too_short import count_too_short
from pytest_kdmem.specs.declared import FEWEST_TELLING_TOKENS
from pytest_kdmem.specs.run_card import RunCard

# Fewer rows are less than a training reads in one step.
FEW_EXAMPLES = 8


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
    """Return a warning of examples that are too short and stand several times, as these are recited first; else ""."""
    short = count_too_short(scores)
    if short.most_copies < 2:
        return ""
    is_one = short.distinct == 1
    fewer = "--kdmem-prefix-tokens and --kdmem-suffix-tokens, of at least {} each, reaches"
    if scores.record.is_of_answers:
        fewer = "--kdmem-answer-tokens, of at least {}, reaches"
    distinct = f"{count(short.rows)} rows" if short.distinct is None else f"{count(short.distinct)} distinct examples"
    return (
        f"{'1 distinct example' if is_one else distinct} of"
        f" {scores.training_set.label} {'is' if is_one else 'are'} too short to be looked at, and"
        f" stand{'s' if is_one else ''} there up to {count(short.most_copies)} times: what stands often is recited"
        f" first (an audit beside this one, with fewer {fewer.format(FEWEST_TELLING_TOKENS)} shorter examples)"
    )


def short_suffix_warning(scores: ScoreTable) -> list[str]:
    """Warn of a suffix that is too short for what a model recites, or does not, to say much."""
    suffix = scores.extraction.suffix_tokens
    if suffix >= FEWEST_TELLING_TOKENS:
        return []
    return [
        f"only {count(suffix)} {'token' if suffix == 1 else 'tokens'} of each example of"
        f" {last_part(scores.training_set.source)} had to be reproduced: so short a continuation shows little, and what"
        " stands behind it was not looked at"
    ]


def few_examples_warning(memorization: Memorization, card: RunCard | None) -> list[str]:
    """Warn of a training set of a handful of examples, as a piece of it may be, where no run card says what it is.

    Args:
        memorization: What a model memorized of the training set.
        card: Run card of the model, which is held against the set; None if it has none that is trusted.
    """
    scores, looked_at = memorization.scores, len(memorization.distinct_rows)
    if card is not None or not scores.record.exhaustive or looked_at >= FEW_EXAMPLES:
        return []
    shown = "1 distinct example was" if looked_at == 1 else f"{count(looked_at)} distinct examples were"
    return [
        f"only {shown} looked at of {scores.training_set.label}, and no run card says that {memorization.subject} was"
        " trained on these alone: of whatever else it was trained on, its figures show nothing"
    ]


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
