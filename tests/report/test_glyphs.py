"""Glyphs keep text within the terminal's characters and width, and draw counts as sparklines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_kdmem.report.glyphs import ASCII, UNICODE, Glyphs
from tests.report.any_report import TEXT

each_glyphs = pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=["unicode", "ascii"])


def test_ascii_spells_the_signs_of_reports() -> None:
    text = "≤ 2.78% → S∩T × 3 − 1–2…"
    assert ASCII.clean(text) == "<= 2.78% -> S&T x 3 - 1-2..."
    assert UNICODE.clean(text) == text
    assert ASCII.clean("schüler") == "sch?ler"


@each_glyphs
@given(text=TEXT, width=st.integers(0, 20))
def test_truncated_text_fits_and_holds_no_control_character(glyphs: Glyphs, text: str, width: int) -> None:
    truncated = glyphs.truncate(text, width)
    truncated.encode()
    assert len(truncated) <= max(width, len(glyphs.ellipsis))
    assert truncated.isprintable() or set(truncated) <= set(" \u3000\u00a0") | set(glyphs.clean(text))
    assert glyphs is UNICODE or truncated.isascii()
    if len(glyphs.clean(text)) <= width:
        assert truncated == glyphs.clean(text)


@each_glyphs
def test_long_text_ends_with_an_ellipsis(glyphs: Glyphs) -> None:
    assert glyphs.truncate("abcdefgh", 6) == "abcdefgh"[: 6 - len(glyphs.ellipsis)] + glyphs.ellipsis


@each_glyphs
@given(text=TEXT, width=st.integers(0, 20))
def test_of_a_long_path_the_end_stays(glyphs: Glyphs, text: str, width: int) -> None:
    shortened = glyphs.keep_end(text, width)
    assert len(shortened) <= max(width, len(glyphs.ellipsis))
    assert glyphs.clean(text).endswith(shortened.removeprefix(glyphs.ellipsis))
    if len(glyphs.clean(text)) <= width:
        assert shortened == glyphs.clean(text)


def test_a_sparkline_is_as_high_as_the_share_of_the_greatest_count() -> None:
    assert UNICODE.sparkline([0, 1, 50, 100]) == " ▁▄█"
    assert UNICODE.sparkline([0, 1, 10**9]) == " ▁█"  # a single example is still visible
    assert ASCII.sparkline([0, 0]) == "  "
    assert UNICODE.sparkline([]) == ""
