"""Documents are joined into windows with the EOS that training had between them, or refused if that is open."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from pytest_kdmem.corpus.blocks import to_blocks
from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.declared import TrainingSet

EOS = 9
DOCUMENTS = [[1, 2, 3], [4, EOS], [], [5, 6]]


@dataclass
class Ends:
    """What of a tokenizer joins documents."""

    eos_id: int | None = EOS
    special_ids: frozenset[int] = frozenset({8, EOS})


def joined(documents, eos, tokenizer=Ends(), window=4):  # noqa: B008
    data = TrainingSet("train.jsonl", form="blocks", eos=eos)
    arrays = (np.array(ids, np.int32) for ids in documents)
    return [block.tolist() for block in to_blocks(arrays, tokenizer, data, window)]


@pytest.mark.parametrize(
    ("eos", "expected"),
    [
        ("once", [[1, 2, 3, EOS], [4, EOS, EOS, 5], [6, EOS]]),
        ("always", [[1, 2, 3, EOS], [4, EOS, EOS, EOS], [5, 6, EOS]]),
        ("never", [[1, 2, 3, 4], [EOS, 5, 6]]),
    ],
)
def test_eos_stands_where_it_is_declared(eos, expected):
    assert joined(DOCUMENTS, eos) == expected


def test_undeclared_it_stands_behind_each_document():
    assert joined([[1, 2, 3], [4]], None) == [[1, 2, 3, EOS], [4, EOS]]


@pytest.mark.parametrize("last", [8, EOS])
def test_documents_that_end_in_a_special_token_are_refused_until_it_is_declared(last):
    with pytest.raises(SpecError, match=rf"found the special token {last} at the end of document 2: declare"):
        joined([[1, 2], [3, last]], None)


def test_undeclared_it_is_read_as_both_rules_that_put_one_or_not_at_all():
    """Also where the tokenizer does not count its EOS among the special tokens."""
    drawn = np.random.default_rng(0)
    same = 0
    for _ in range(300):
        documents = [drawn.integers(5, 10, drawn.integers(0, 4)).tolist() for _ in range(drawn.integers(1, 4))]
        for special in (frozenset({8, EOS}), frozenset({8})):
            try:
                undeclared = joined(documents, None, Ends(special_ids=special))
            except SpecError:
                continue
            assert undeclared == joined(documents, "always") == joined(documents, "once")
            same += 1
    assert 50 < same < 550


@pytest.mark.parametrize("tokenizer", [None, Ends(eos_id=None)])
def test_without_an_eos_documents_are_joined_by_none(tokenizer):
    with pytest.raises(SpecError, match='joined by EOS, and the model\'s tokenizer names none; declare eos="never"'):
        joined([[1, 2], [3]], "once", tokenizer)
    assert joined([[1, 2], [3]], "never", tokenizer) == [[1, 2, 3]]
