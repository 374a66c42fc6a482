"""Readings of a tokenizer are held together on each text, and what they tell of special tokens is put together."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.corpus.read_tokenizer import ReadTokenizer
from pytest_kdmem.corpus.readings import ReadingsDiffer

BOS, EOS = 1, 2


@dataclass
class Letters:
    """A reading that gives each letter its code, with special tokens around and a difference behind some letters."""

    name: str
    before: tuple[int, ...] = ()
    behind: tuple[int, ...] = ()
    changed: str = ""  # a letter that becomes another token
    knows_special_tokens: bool = True
    eos_id: int | None = EOS
    eos_token: str | None = "</s>"
    size: int = 300
    special_ids: frozenset[int] = frozenset({EOS})
    pipeline: str | None = None
    asked: list[bool] = field(default_factory=list)

    def encode(self, texts: list[str], *, add_special_tokens: bool) -> list[list[int]]:
        self.asked.append(add_special_tokens)
        before, behind = (self.before, self.behind) if add_special_tokens else ((), ())
        return [
            [*before, *(0 if letter == self.changed else ord(letter) for letter in text), *behind] for text in texts
        ]

    def decode(self, ids: TokenIds) -> str:
        return "".join(map(chr, ids))

    def token(self, token_id: int) -> str:
        return {BOS: "<s>", EOS: "</s>"}[token_id]


def tokenizer(*readings: Letters, folder: Path = Path("nowhere")) -> ReadTokenizer:
    return ReadTokenizer(*readings, folder=folder)


@given(text=st.text(alphabet="abc", max_size=8), needed=st.one_of(st.none(), st.integers(0, 9)))
def test_readings_have_to_agree_on_as_many_tokens_as_are_used(text: str, needed: int | None) -> None:
    read = tokenizer(Letters("file"), Letters("auto", changed="c"))
    at = text.find("c")
    if at >= 0 and (needed is None or at < needed):
        with pytest.raises(ReadingsDiffer) as differs:
            read.encode(["aa", text], add_special_tokens=False, needed=needed)
        assert differs.value.index == 1
        assert differs.value.difference == (
            f"{len(text)} tokens by file and {len(text)} by auto, which differ from token {at + 1} on"
        )
    else:
        assert read.encode([text], add_special_tokens=False, needed=needed) == [[ord(letter) for letter in text]]


def test_a_text_that_one_reading_ends_earlier_differs_from_there_on() -> None:
    read = tokenizer(Letters("file"), Letters("auto", behind=(EOS,)))
    with pytest.raises(ReadingsDiffer) as differs:
        read.encode(["ab"], add_special_tokens=True)
    assert differs.value.difference == "2 tokens by file and 3 by auto, which differ from token 3 on"


def test_its_identity_is_that_of_every_tokenizer_that_makes_the_same_of_text() -> None:
    same = Letters("file", pipeline="p"), Letters("auto", pipeline="p")
    identity = tokenizer(*same).identity
    assert identity == tokenizer(*same, folder=Path("elsewhere")).identity
    for changed in (
        Letters("auto", pipeline="q"),
        Letters("other class", pipeline="p"),
        Letters("auto", pipeline="p", eos_id=None),
        Letters("auto", pipeline="p", special_ids=frozenset({BOS, EOS})),
        Letters("auto", pipeline="p", before=(BOS,)),
    ):
        assert tokenizer(same[0], changed).identity not in (identity, None)
    assert tokenizer(same[0]).identity not in (identity, None)
    assert tokenizer(same[0], Letters("does more")).identity is None


def test_of_one_pipeline_a_batch_is_compared_once_for_each_way() -> None:
    first, second = Letters("file", pipeline="p"), Letters("auto", pipeline="p")
    read = tokenizer(first, second)
    assert read.is_one_pipeline
    second.asked.clear()
    for _ in range(3):
        for special in (False, True):
            read.encode(["ab"], add_special_tokens=special)
    assert second.asked == [False, True]


@pytest.mark.parametrize("pipelines", [(None, None), ("p", "q"), ("p",)])
def test_other_readings_are_compared_on_every_text(pipelines: tuple[str | None, ...]) -> None:
    readings = [Letters(str(at), pipeline=pipeline) for at, pipeline in enumerate(pipelines)]
    assert not tokenizer(*readings).is_one_pipeline


def test_special_tokens_are_those_of_the_reading_that_knows_them() -> None:
    first, second = Letters("file", knows_special_tokens=False), Letters("auto", before=(BOS,))
    read = tokenizer(first, second)
    assert read.adds == "<s> before each text"
    assert read.encode(["a"], add_special_tokens=True) == [[BOS, ord("a")]]
    with pytest.raises(ReadingsDiffer):  # the text between them is still held together
        tokenizer(first, Letters("auto", before=(BOS,), changed="a")).encode(["a"], add_special_tokens=True)


def test_what_readings_know_is_put_together() -> None:
    first = Letters("file", size=5, special_ids=frozenset({EOS}), eos_id=None, eos_token=None)
    read = tokenizer(first, Letters("auto", size=4, special_ids=frozenset({BOS})))
    assert (read.size, read.special_ids, read.eos_id, read.eos_token) == (5, {BOS, EOS}, EOS, "</s>")
    assert read.candidates("ab") == [[97, 98], [97, 98]]


@pytest.mark.parametrize(
    ("settings", "promises"),
    [
        ({}, ""),
        ({"add_bos_token": True}, ""),
        ({"add_bos_token": True, "add_eos_token": True}, "add_eos_token"),
        ({"add_eos_token": False}, ""),
    ],
)
def test_settings_that_promise_tokens_which_are_not_added_are_named(
    tmp_path: Path, settings: dict[str, bool], promises: str
) -> None:
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    assert tokenizer(Letters("file", before=(BOS,)), folder=tmp_path).promises == promises
