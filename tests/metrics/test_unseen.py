"""What stands more often than is allowed and was not looked at is told with its number, lengths and copies."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_kdmem.corpus.copy_counts import CopyCount
from pytest_kdmem.metrics.estimate import Comparison
from pytest_kdmem.metrics.unseen import UnseenCopies
from pytest_kdmem.metrics.verdict import Verdict
from tests.metrics.score_tables import memorization_from, row

ONCE, TWELVE, OFTEN = CopyCount(1, 200, 1, 40), CopyCount(12, 1, 35, 35), CopyCount(24, 2, 68, 84)
ACCEPT = "ccept it by --kdmem-max-short-copies="


def unseen(short: tuple[CopyCount, ...] = (), shorter: tuple[CopyCount, ...] = (), allowed: int = 3) -> UnseenCopies:
    return UnseenCopies("notes.parquet", short, shorter, allowed)


def verdict(found: UnseenCopies, *tier: float) -> tuple[str, str]:
    made = found.verdict(*tier)
    assert made is not None
    assert made.outcome == "inconclusive"
    return made.basis, made.remedy


@pytest.mark.parametrize("allowed", [24, 1_000_000])
def test_nothing_is_held_back_where_all_copies_are_allowed(allowed: int) -> None:
    assert unseen((ONCE, TWELVE, OFTEN), (ONCE, OFTEN), allowed).verdict() is None
    assert unseen().verdict() is None
    assert unseen((ONCE,), (ONCE,)).verdict() is None


def test_empty_documents_are_recited_by_nobody_and_need_no_number_that_hides_others() -> None:
    empty = CopyCount(5000, 1, 0, 0)
    assert unseen((empty,), (empty,)).verdict() is None
    assert unseen((empty,)).verdict_of_group(5000) is None
    basis, remedy = verdict(unseen((TWELVE, empty)))
    assert "1 example of notes.parquet that is too short to be looked at (35 tokens) stands there 12 times" in basis
    assert f"{ACCEPT}12, or train" in remedy


def test_one_sentence_says_how_many_stand_how_often_and_what_looks_at_them() -> None:
    lengths = "--kdmem-prefix-tokens and --kdmem-suffix-tokens of together at most 40"
    assert verdict(unseen((ONCE, TWELVE, OFTEN))) == (
        "because 3 examples of notes.parquet that are too short to be looked at (35 to 84 tokens) stand there more than"
        " 3 times, up to 24",
        f"A{ACCEPT}24, and look at them in a further audit beside this one, with {lengths} (each at least 20; of fewer"
        " than 40 tokens no lengths show anything).",
    )
    assert verdict(unseen((ONCE, TWELVE)))[0] == (
        "because 1 example of notes.parquet that is too short to be looked at (35 tokens) stands there 12 times"
    )
    assert verdict(unseen((OFTEN,)))[0] == (
        "because 2 examples of notes.parquet that are too short to be looked at (68 to 84 tokens) stand there 24 times"
        " each"
    )
    strict = verdict(unseen((CopyCount(1, 1, 1, 1),), allowed=0))
    assert strict[0].endswith("(1 token) stands there once")
    assert strict[1].startswith(f"A{ACCEPT}1, or train without them")


def test_what_a_least_length_leaves_out_is_told_apart() -> None:
    basis, remedy = verdict(unseen((), (TWELVE,)))
    assert basis == (
        "because 1 document that minimum_tokens leaves out of notes.parquet (35 tokens) stands there 12 times, and no"
        " run card says that training left it out"
    )
    assert remedy == f"Declare the set without minimum_tokens if training had them, or a{ACCEPT}12."
    basis, remedy = verdict(unseen((OFTEN,), (TWELVE,)))
    assert basis.count("because") == 1
    assert "24 times each and 1 document that minimum_tokens" in basis
    assert remedy.startswith(f"Declare the set without minimum_tokens if training had them, or a{ACCEPT}24, and look")


def test_answers_of_conversations_are_looked_at_by_their_own_length() -> None:
    _, remedy = verdict(replace(unseen((TWELVE,)), is_of_answers=True))
    assert remedy.endswith("beside this one, with --kdmem-answer-tokens of at most 35 (at least 20).")
    _, remedy = verdict(replace(unseen((CopyCount(12, 1, 7, 7),)), is_of_answers=True))
    assert remedy.endswith("or train without them: of examples of fewer than 20 tokens no lengths show anything.")


@pytest.mark.parametrize(("fewest", "most"), [(1, 39), (7, 45), (40, 40), (68, 99)])
def test_no_lengths_are_advised_that_show_nothing(fewest: int, most: int) -> None:
    _, remedy = verdict(unseen((CopyCount(9, 2, fewest, most),)))
    assert "Set shorter" not in remedy
    assert ("further audit beside this one" in remedy) == (most >= 40)
    assert ("no lengths show anything" in remedy) == (fewest < 40)
    if most >= 40:
        assert f"of together at most {max(fewest, 40)} (each at least 20" in remedy


def test_a_tier_and_a_group_hold_their_own_alone() -> None:
    found = unseen((ONCE, TWELVE, OFTEN))
    assert found.verdict(1, 3) is None
    assert "1 example" in verdict(found, 4, 15)[0]
    assert "2 examples" in verdict(found, 16)[0]
    assert found.verdict_of_group(0) is None
    assert found.verdict_of_group(3) is None
    assert found.verdict_of_group(12) == found.verdict(12, 12)


def test_a_comparison_that_holds_is_held_back_on_either_side_and_one_that_does_not_fails() -> None:
    known = memorization_from([row("a"), row("b", memorized=True)])
    hidden = replace(known, unseen=unseen((TWELVE,)))
    held = [
        hidden.rate.compare("<=", 0.5),
        hidden.rate.compare("<=", known.rate),
        known.rate.compare("<=", hidden.rate),
        hidden.by_copies["4-15"].rate.compare("<=", 0.5),
    ]
    assert [comparison.holds for comparison in held] == [False] * 4
    assert [comparison.verdict == hidden.not_shown for comparison in held[:3]] == [True] * 3
    assert hidden.rate.compare("<=", 0.1).verdict is None, "it fails as any other"
    assert known.rate.compare("<=", 0.5).holds
    assert hidden.by_copies["1"].rate.compare("<=", 0.5).holds
    of_all = hidden.by_copies.as_gate("<=", 0.9)
    assert (of_all.estimate.part_name, of_all.holds, of_all.parts_not_held) == ("4-15 copies", False, 1)
    paired = Comparison(hidden.rate, "<=", 0.5, Verdict("pass", basis="paired"))
    assert paired.held_back().verdict == hidden.not_shown
    failed = Comparison(hidden.rate, "<=", 0.5, Verdict("fail"))
    assert failed.held_back() is failed
