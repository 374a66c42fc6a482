"""Sets what models generate beside the text that was expected, and marks where the two differ, word by word."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from markupsafe import Markup, escape

from pytest_kdmem.auditing.schema_examples import ExamplesEntry, ModelColumns
from pytest_kdmem.report.sanitize import sanitize

MAX_TEXT_LENGTH = 4000
# A word or a mark with the blanks before it. Scripts without blanks between words are compared by characters.
WORD = re.compile(r"\s*(?:[^\W\u2e80-\u9fff]+|\S)|\s+")
# Fewer words in common, between words that differ, are a coincidence: marking around them would be hard to read.
LEAST_WORDS_IN_COMMON = 2
FIRST_SUBJECT = "student"
SAME_TEXT = {True: "identical", False: "the same text in other tokens"}

Tag = Literal["ins", "del"]


@dataclass(frozen=True)
class Generated:
    """What one or more models generate from a prefix.

    Attributes:
        models: The models.
        remark: What is said in place of the text, if that is the expected one; empty otherwise.
        text: The text, with what is not in the expected one in ``ins``; empty if that is the expected one.
    """

    models: tuple[str, ...]
    remark: str
    text: Markup


@dataclass(frozen=True)
class SideBySide:
    """The text of one example.

    Attributes:
        prefix: The prefix.
        expected: The suffix in the training set, with what the model ``compared`` does not generate in ``del``.
        compared: That model; empty if none generates another text.
        generated: What models generate, the student first; none if the example was not continued.
    """

    prefix: Markup
    expected: Markup
    compared: str
    generated: tuple[Generated, ...]


def side_by_side(entry: ExamplesEntry, row: int) -> SideBySide:
    """Return the text of an example of an entry that shows text."""
    suffix = entry.suffix[row]
    generated = tuple(_by_text(entry, row))
    other = next((each for each in generated if each.text), None)
    expected = shown_text(suffix)
    if other is None:
        return SideBySide(training_text(entry.prefix[row]), escape(expected), "", generated)
    compared = other.models[0]
    text = shown_text(entry.models[compared].generated[row] or "")
    marked = _marked(expected, (first for first, _ in differing_spans(expected, text)), "del")
    return SideBySide(training_text(entry.prefix[row]), marked, compared, generated)


def training_text(text: str) -> Markup:
    """Return training text with its line breaks, escaped, and without other control characters."""
    return escape(shown_text(text))


def shown_text(text: str) -> str:
    """Return the beginning of training text with its line breaks, without secrets and other control characters."""
    return "\n".join(sanitize(line, MAX_TEXT_LENGTH) for line in text[:MAX_TEXT_LENGTH].split("\n"))


def differing_spans(expected: str, generated: str) -> list[tuple[slice, slice]]:
    """Characters of two texts that differ: a slice of each, of which one may be empty."""
    words: tuple[list[str], list[str]] = (WORD.findall(expected), WORD.findall(generated))
    edges = [_edges(of_text) for of_text in words]
    lengths = [len(of_text) for of_text in words]
    # Of a matcher's blocks the last is an empty one at the end of both.
    blocks = [
        block
        for block in SequenceMatcher(None, words[0], words[1], autojunk=False).get_matching_blocks()
        if block.size >= LEAST_WORDS_IN_COMMON
        or block.a == block.b == 0
        or [block.a + block.size, block.b + block.size] == lengths
    ]
    spans, first, second = [], 0, 0
    for block in blocks:
        if block.a > first or block.b > second:
            spans.append((slice(edges[0][first], edges[0][block.a]), slice(edges[1][second], edges[1][block.b])))
        first, second = block.a + block.size, block.b + block.size
    return spans


def _edges(words: Sequence[str]) -> list[int]:
    """Places of the first character of each word, and of the end."""
    edges = [0]
    for word in words:
        edges.append(edges[-1] + len(word))
    return edges


def _by_text(entry: ExamplesEntry, row: int) -> Iterator[Generated]:
    """Models that generate one text together, the student first and those that generate the expected text last."""
    suffix, expected = entry.suffix[row], shown_text(entry.suffix[row])
    models_of: dict[tuple[str, str], list[str]] = {}
    for model in sorted(entry.models, key=lambda name: name != FIRST_SUBJECT):
        columns = entry.models[model]
        text = columns.generated[row] if columns.generated else None
        if text is not None:
            remark = SAME_TEXT[_may_recite(columns, row)] if text == suffix else ""
            models_of.setdefault((text, remark), []).append(model)
    for (text, remark), models in sorted(models_of.items(), key=lambda item: item[0][1] != ""):
        shown = shown_text(text)
        if not remark and shown == expected:
            remark = "different in characters that are not shown"
        marked = _marked(shown, (second for _, second in differing_spans(expected, shown)), "ins")
        yield Generated(tuple(models), remark, Markup() if remark else marked)


def _may_recite(columns: ModelColumns, row: int) -> bool:
    return bool(columns.memorized[row] or columns.ambiguous[row])


def _marked(text: str, spans: Iterator[slice], tag: Tag) -> Markup:
    """Text with some of its spans, which ascend, inside of an element; blanks before a word stay outside of it."""
    marked, end = Markup(), 0
    for span in spans:
        words = text[span].lstrip() or text[span]
        if words:
            marked += escape(text[end : span.stop - len(words)]) + Markup(f"<{tag}>%s</{tag}>") % words
            end = span.stop
    return marked + escape(text[end:])
