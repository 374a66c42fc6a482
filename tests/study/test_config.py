"""A study is checked when it is made."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_kdmem.errors import SpecError
from pytest_kdmem.study.config import Shares


def test_a_text_is_read_once(toy):
    with pytest.raises(SpecError, match="Each text must be read once, so that no part shares a document"):
        replace(toy, datasets={"web": toy.datasets["web"], "again": toy.datasets["web"]})


def test_parts_are_those_that_are_set_and_main_comes_first(toy):
    assert toy.parts == ("main", "temperature", "size", "families", "pilot")
    assert replace(toy, temperature=None, pilot=None).parts == ("main", "size", "families")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"seeds": ()}, "seeds must name at least one"),
        ({"seeds": (1, 1)}, "each once"),
        ({"repetition": ((1, 0.5),)}, "copies in repetition"),
        ({"repetition": ((2, 0.6), (3, 0.6))}, "at most 1 together"),
        ({"vocabulary": 0}, "vocabulary"),
    ],
)
def test_wrong_values_are_named(toy, changed, words):
    with pytest.raises(SpecError, match=words):
        replace(toy, **changed)


def test_shares_of_a_text_are_at_most_one_together():
    with pytest.raises(SpecError, match="at most 1 together"):
        Shares(0.5, 0.5, 0.1)
