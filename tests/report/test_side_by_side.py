"""Differences are marked word by word, so that what is marked and what is not are the two texts."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from pytest_kdmem.auditing.schema_examples import ExamplesEntry, ModelColumns
from pytest_kdmem.report.side_by_side import differing_spans, shown_text, side_by_side

words = st.lists(st.sampled_from(["the", "sea", "land", " ", "\n", ",", "<b>", "海", "\u202e"]), max_size=12)
texts = words.map(" ".join)


def entry(suffix: str, recited: str = "", ambiguous: str = "", **generated: str | None) -> ExamplesEntry:
    """One example, and what each model generates."""
    models = {
        model: ModelColumns((int(model in recited),), (int(model in ambiguous),), (None,), (None,), (None,), (text,))
        for model, text in generated.items()
    }
    return ExamplesEntry((3,), ("d",), (1,), (None,), (None,), models, ("<i>Once</i>",), (suffix,))


def unmarked(html: Markup) -> str:
    """The text of marked text."""
    return Markup(html).unescape().replace("<ins>", "").replace("<del>", "").replace("</ins>", "").replace("</del>", "")


def test_what_differs_is_struck_through_in_one_text_and_underlined_in_the_other() -> None:
    text = side_by_side(entry("upon the blue sea", student="upon the red land"), 0)
    assert text.prefix == "&lt;i&gt;Once&lt;/i&gt;"
    assert text.expected == "upon the <del>blue sea</del>"
    assert text.compared == "student"
    assert [(said.models, said.remark, said.text) for said in text.generated] == [
        (("student",), "", "upon the <ins>red land</ins>")
    ]


@pytest.mark.parametrize(
    ("expected", "generated", "marked_expected", "marked_generated"),
    [
        ("one two three", "one three", "one <del>two</del> three", "one three"),
        ("one three", "one two three", "one three", "one <ins>two</ins> three"),
        ("a b c d e", "a x c y e", "a <del>b c d</del> e", "a <ins>x c y</ins> e"),  # one word is a coincidence
        ("a b c d e f", "a x c d y f", "a <del>b</del> c d <del>e</del> f", "a <ins>x</ins> c d <ins>y</ins> f"),
        ("年月日", "年火日", "年<del>月</del>日", "年<ins>火</ins>日"),
        ("same", "other", "<del>same</del>", "<ins>other</ins>"),
        ("line\nend", "line end", "line\n<del>end</del>", "line <ins>end</ins>"),
        ("stop", "", "<del>stop</del>", ""),
    ],
)
def test_words_are_compared(expected: str, generated: str, marked_expected: str, marked_generated: str) -> None:
    text = side_by_side(entry(expected, student=generated), 0)
    (said,) = text.generated
    assert said.text == marked_generated
    if generated:
        assert text.expected == marked_expected


def test_models_that_generate_one_text_stand_together_and_those_that_recite_are_not_printed_twice() -> None:
    said = side_by_side(
        entry("the sea", recited="teacher", teacher="the sea", baseline="the land", student="the land", other=None), 0
    )
    assert [(each.models, each.remark) for each in said.generated] == [
        (("student", "baseline"), ""),
        (("teacher",), "identical"),
    ]
    assert said.generated[1].text == ""
    assert said.compared == "student"
    assert said.expected == "the <del>sea</del>"


def test_the_same_text_is_called_identical_only_if_the_verdict_may_be_so() -> None:
    for flags, remark in (
        ({"recited": "student"}, "identical"),
        ({"ambiguous": "student"}, "identical"),
        ({}, "the same text in other tokens"),
    ):
        (said,) = side_by_side(entry("the sea", student="the sea", **flags), 0).generated
        assert (said.remark, said.text) == (remark, "")


def test_a_difference_that_cannot_be_shown_is_told() -> None:
    text = side_by_side(entry("the sea\x00", student="the sea\x01"), 0)
    assert [said.remark for said in text.generated] == ["different in characters that are not shown"]
    assert (text.compared, text.expected) == ("", shown_text("the sea\x00"))


def test_an_example_that_was_not_continued_has_its_text_alone() -> None:
    without = entry("the sea", student=None)
    columns = replace(without.models["student"], generated=())
    for each in (without, replace(without, models={"student": columns})):
        text = side_by_side(each, 0)
        assert (text.expected, text.compared, text.generated) == ("the sea", "", ())


@given(texts, texts)
def test_no_character_is_lost_added_or_interpreted(expected: str, generated: str) -> None:
    text = side_by_side(entry(expected, student=generated), 0)
    plain = shown_text(expected)
    assert unmarked(text.expected) == plain
    for said in text.generated:
        assert said.remark or unmarked(said.text) == shown_text(generated)
        assert set(re.findall(r"</?(\w+)", said.text)) <= {"ins"}
    assert set(re.findall(r"</?(\w+)", text.expected)) <= {"del"}


@given(texts, texts)
def test_what_is_not_marked_is_common_to_both(expected: str, generated: str) -> None:
    spans = differing_spans(expected, generated)
    common: tuple[list[str], list[str]] = ([], [])
    for side, text in enumerate((expected, generated)):
        end = 0
        for pair in spans:
            common[side].append(text[end : pair[side].start])
            end = pair[side].stop
        common[side].append(text[end:])
    assert common[0] == common[1]
    assert bool(spans) == (expected != generated)
