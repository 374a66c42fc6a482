"""What stands beside token ids is held against them: what training did not learn, and the text that they are of."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_kdmem.corpus.columns import TokenRow
from pytest_kdmem.corpus.row_checks import check_is_of_text, check_learned
from pytest_kdmem.errors import DataError
from pytest_kdmem.specs.declared import Extraction

EXTRACTION = Extraction(2, 2, 6)


def row(ids, learned=None, text=None) -> TokenRow:
    flags = None if learned is None else np.array(learned, bool)
    return TokenRow(np.array(ids, np.int32), "line 1", flags, text)


@pytest.mark.parametrize(
    ("learned", "form"),
    [
        (None, "documents"),
        ([0, 0, 1, 1, 1], "documents"),
        ([0, 0, 1, 1, 0], "documents"),
        ([0, 0, 0], "documents"),  # too short to be judged
        ([1, 1, 1, 1, 1], "blocks"),
    ],
)
def test_a_prompt_within_the_prefix_changes_nothing(learned, form):
    check_learned(row([1] * len(learned or [1]), learned), form, EXTRACTION)


@pytest.mark.parametrize(
    ("learned", "form", "expected"),
    [
        ([0, 0, 0, 1, 1], "documents", "tokens 2 to 4, .* found 1 of them"),
        ([0, 0, 0, 0, 0], "documents", "tokens 2 to 4, .* found 2 of them"),
        ([0, 1, 1, 1, 1], "blocks", "all tokens, .* found 1 of them"),
    ],
)
def test_tokens_that_were_not_learned_are_not_judged(learned, form, expected):
    with pytest.raises(DataError, match=f"{expected} left out by its labels"):
        check_learned(row([1] * 5, learned), form, EXTRACTION)


class Letters:
    """Letters as token ids, in two readings; 0 and 1 are special."""

    special_ids = frozenset({0, 1})

    def candidates(self, text):
        return [[ord(letter) for letter in text], [ord(letter) + 100 for letter in text]]


@pytest.mark.parametrize(
    "ids",
    [
        [97, 98, 99, 100],
        [0, 97, 98, 99, 100, 1],
        [197, 198, 199, 200],
        [0, 97, 98],
        [99, 100, 1],
        [],
        [0, 1],
    ],
    ids=str,
)
def test_ids_of_the_text_cut_or_between_special_tokens_are_its_own(ids):
    check_is_of_text(row(ids, text="abcd"), Letters())


@pytest.mark.parametrize("ids", [[98, 99], [97, 99], [97, 98, 99, 100, 101], [97, 198], [300]], ids=str)
def test_other_ids_than_those_of_the_text_are_refused(ids):
    with pytest.raises(DataError, match=r"Token ids of the text beside them were expected in line 1; found others"):
        check_is_of_text(row(ids, text="abcd"), Letters())
