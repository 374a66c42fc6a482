"""Sanitized text is one line of valid Unicode without control characters."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given

from pytest_kdmem.errors.harmless import CONTROL_CATEGORIES, MAX_LENGTH
from pytest_kdmem.report.sanitize import sanitize
from tests.report.any_report import TEXT


@given(TEXT)
def test_no_control_character_is_left(text: str) -> None:
    sanitized = sanitize(text)
    sanitized.encode()
    assert len(sanitized.splitlines()) <= 1
    assert not any(unicodedata.category(character) in CONTROL_CATEGORIES for character in sanitized)


@pytest.mark.parametrize("text", ["", " student ", "学生", "a|b", "<b>", "\U0001f600"])
def test_text_without_control_characters_stays_as_it_is(text: str) -> None:
    assert sanitize(text) == text


def test_each_control_character_is_replaced_by_one_character() -> None:
    assert sanitize("a\x1b[31m\nb\u202ec\ud800") == "a\ufffd[31m\ufffdb\ufffdc\ufffd"


def test_long_text_is_cut_and_its_length_is_given() -> None:
    assert sanitize("x" * MAX_LENGTH) == "x" * MAX_LENGTH
    assert sanitize("x" * 12_345, 3) == "xxx… (12 345 characters)"
