"""A figure over the few examples that are long enough is none of the set."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from pytest_kdmem.auditing.scored_share import (
    check_scored_share,
    check_whole_prompts,
    few_examples_warning,
    short_copies_warning,
    short_suffix_warning,
)
from pytest_kdmem.errors import SpecError
from pytest_kdmem.scoring.table import ScoreTable
from pytest_kdmem.specs.declared import Extraction
from tests.metrics.score_tables import memorization_from, row, too_short
from tests.specs.any_card import card


def scores(examples: int, too_short: int) -> ScoreTable:
    table = memorization_from([row("a")]).scores
    return replace(table, record=replace(table.record, examples=examples, too_short=too_short))


@pytest.mark.parametrize(("examples", "too_short", "least"), [(10, 0, 1), (10, 5, 0.5), (10, 10, 0), (0, 0, 0.5)])
def test_enough_of_a_set_may_be_judged(examples: int, too_short: int, least: float) -> None:
    check_scored_share(scores(examples, too_short), least)


@pytest.mark.parametrize(("examples", "too_short", "least"), [(5001, 5000, 0.5), (10, 6, 0.5), (10, 1, 1)])
def test_too_few_of_a_set_are_told_with_their_figures(examples: int, too_short: int, least: float) -> None:
    with pytest.raises(SpecError, match="lower --kdmem-min-scored-share") as error:
        check_scored_share(scores(examples, too_short), least)
    shown = f"{examples - too_short} of {examples:,} are".replace(",", " ")
    assert shown in str(error.value)


def with_cut_prompts(cut: int, window: int = 256, positions: int | None = 2048) -> ScoreTable:
    table = scores(10, 2)
    return replace(
        table,
        record=replace(table.record, cut_prompts=cut),
        extraction=replace(table.extraction, window_tokens=window),
        checkpoint=replace(table.checkpoint, positions=positions),
    )


def test_answers_behind_whole_prompts_need_no_word() -> None:
    assert check_whole_prompts(with_cut_prompts(0), 1) == ""


@pytest.mark.parametrize(("cut", "window"), [(4, 256), (8, 2048)])
def test_some_cut_prompts_are_a_warning_and_all_where_the_model_has_no_more_positions(cut: int, window: int) -> None:
    assert f"{cut} of 8 answers" in check_whole_prompts(with_cut_prompts(cut, window), 0.5)


@pytest.mark.parametrize("positions", [2048, None])
def test_most_prompts_cut_are_refused(positions: int | None) -> None:
    with pytest.raises(SpecError, match=r"5 of 8 answers .* window of 256 tokens cuts off.*--kdmem-window-tokens"):
        check_whole_prompts(with_cut_prompts(5, positions=positions), 0.5)


@pytest.mark.parametrize(
    ("short", "words"),
    [
        ("", ""),
        ("bcd", ""),
        ("bbb", r"^1 distinct example of .* is too short to be looked at, and stands there up to 3 times: "),
        ("bbcbdd", r"^3 distinct examples of .* are too short to be looked at, and stand there up to 3 times: "),
    ],
)
def test_examples_that_are_too_short_and_stand_several_times_are_told(short: str, words: str) -> None:
    warning = short_copies_warning(memorization_from([row("a"), row("a"), *map(too_short, short)]).scores)
    assert re.search(words, warning)
    assert bool(warning) == bool(words)


def test_what_reaches_short_answers_is_their_own_length() -> None:
    scores = memorization_from([row("a"), too_short("b"), too_short("b")]).scores
    assert "with fewer --kdmem-prefix-tokens and --kdmem-suffix-tokens, of at least 20 each" in short_copies_warning(
        scores
    )
    answers = replace(scores, record=replace(scores.record, is_of_answers=True))
    assert "with fewer --kdmem-answer-tokens, of at least 20, reaches shorter" in short_copies_warning(answers)


@pytest.mark.parametrize(("suffix", "is_warned"), [(1, True), (4, True), (19, True), (20, False), (50, False)])
def test_a_suffix_of_a_few_tokens_is_warned_of(suffix: int, is_warned: bool) -> None:
    scores = memorization_from([row("a"), row("b")]).scores
    warnings = short_suffix_warning(replace(scores, extraction=Extraction(20, suffix, 100)))
    assert bool(warnings) == is_warned
    if is_warned:
        assert warnings[0].startswith(f"only {suffix} token")


@pytest.mark.parametrize(("examples", "is_warned"), [(1, True), (7, True), (8, False)])
def test_a_handful_of_examples_is_warned_of_where_no_run_card_says_what_they_are(examples, is_warned):
    rows = [row(str(name)) for name in range(examples) for _ in range(3)]
    warnings = few_examples_warning(memorization_from(rows), None)
    assert bool(warnings) == is_warned
    if is_warned:
        assert f"only {examples} distinct example" in warnings[0]
    assert few_examples_warning(memorization_from(rows), card()) == []
    assert few_examples_warning(memorization_from(rows, exhaustive=False), None) == []
