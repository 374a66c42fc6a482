"""Reports tell which tokens of which examples were looked at, and what was not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema import DataEntry
from pytest_kdmem.auditing.schema_figures import FigureEntry
from pytest_kdmem.report import comment, html, markdown
from pytest_kdmem.report.card_table import insert_table
from pytest_kdmem.report.extent import not_reached, tokens_looked_at
from tests.report.audits import full_audit, gate, rate, render_audits

LENGTHS = {"prefix_tokens": 50, "suffix_tokens": 50}


def audit(settings: dict[str, object] | None = None, **data: object) -> AuditResult:
    """An audit of a whole set, with these settings beside the lengths and these changes of its training set."""
    entry = DataEntry("data/train.jsonl", "d2", 402, 208, 0, 122, exhaustive=True, longer=301)
    return full_audit(settings=LENGTHS | (settings or {}), training_set=replace(entry, **data), figures=())


def test_the_tokens_and_the_decoding_are_named() -> None:
    assert tokens_looked_at(audit()) == "tokens 51–100 of each, decoded greedily from the first 50"
    assert tokens_looked_at(audit({"prefix_tokens": 20, "suffix_tokens": 30})).startswith("tokens 21–50 of each")
    assert tokens_looked_at(full_audit(settings={})) == ""
    answers = audit(is_of_answers=True, reading={"answer_tokens": 20})
    assert tokens_looked_at(answers) == "the first 20 tokens of each answer, decoded greedily after its conversation"
    assert list(not_reached(answers)) == ["what stands behind the first 20 tokens of an answer (301 rows are longer)"]


def test_the_samplers_of_gates_are_named_and_greedy_ones_are_not_named_again() -> None:
    names = ["at temperature 0.8 (named by the test)", "by greedy decoding (generation_config.json)"]
    gates = tuple(
        gate("test_sampler", replace(rate(0, 208), metric=f"(100, 0.5)-extractable rate {name}"), "<=", 0.01)
        for name in [*names, *names]
    )
    assert tokens_looked_at(replace(audit(), gates=gates)) == (
        "tokens 51–100 of each, decoded greedily from the first 50; where a gate names it, sampled at temperature 0.8"
        " (named by the test)"
    )


@pytest.mark.parametrize(
    ("longer", "told"),
    [
        (301, ["what stands behind token 100 (301 rows are longer)"]),
        (1, ["what stands behind token 100 (1 row is longer)"]),
        (0, []),
        (None, ["what stands behind token 100"]),
    ],
)
def test_examples_that_go_on_are_counted(longer: int | None, told: list[str]) -> None:
    assert list(not_reached(audit(longer=longer))) == told


def test_secrets_are_searched_in_what_is_recited_on() -> None:
    searched = replace(audit(), figures=(FigureEntry("class", "student", "email", rate(0, 208)),))
    told = "what stands behind token 100 (301 rows are longer), except for secrets in what a model recites on"
    assert list(not_reached(searched)) == [told]
    unsearched = replace(audit(), figures=(FigureEntry("class", "student", "name", rate(0, 0)),))
    assert list(not_reached(unsearched)) == ["what stands behind token 100 (301 rows are longer)"]


def test_copies_that_were_accepted_are_told_with_their_number() -> None:
    short = {"longer": 0, "too_short": 72, "too_short_distinct": 17, "too_short_copies": 12}
    plain = "17 examples that are too short (72 rows, one stands 12 times)"
    assert list(not_reached(audit(**short))) == [plain]
    accepted = f"{plain}; up to 12 copies of each were accepted, and not 3 as usual"
    assert list(not_reached(audit({"max_short_copies": 12}, **short))) == [accepted]
    assert list(not_reached(audit({"max_short_copies": 0}, **short))) == [plain]
    assert list(not_reached(audit({"max_short_copies": 12}, longer=0))) == []


def test_groups_of_which_nothing_was_looked_at_are_named_the_first_of_many() -> None:
    figures = tuple(FigureEntry("group", "student", f"clinic {name}", rate(0, 0)) for name in "abcdefg")
    unseen = "any example of 7 groups: clinic a, clinic b, clinic c, clinic d, clinic e and 2 more"
    of_groups = replace(audit(longer=0), figures=figures)
    assert list(not_reached(of_groups)) == [unseen]
    assert list(not_reached(of_groups, names_parts=False)) == ["any example of 7 groups"]


def test_page_markdown_comment_and_card_say_it() -> None:
    shown = replace(audit({"max_short_copies": 12}, too_short=9), not_run=())
    texts = [
        render_audits(html.render, shown),
        render_audits(markdown.render, shown),
        render_audits(comment.render, shown, context=comment.CommentContext(name="")),
        insert_table("", shown),
    ]
    for text in texts:
        plain = text.replace("\\", "").replace("\u00a0", " ").replace("\u2060", "")
        assert "tokens 51–100 of each, decoded greedily" in plain
        assert "what stands behind token 100 (301 rows are longer)" in plain
        assert "up to 12 copies of each were accepted" in plain
