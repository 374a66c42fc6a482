"""Public tokenizer layouts × ways to prepare data: an audit has the token ids that training had, or is refused.

What training can have had is computed here with `tokenizers`, `sentencepiece` and `AutoTokenizer` alone. A set that
leaves open which of it training had must be refused if these differ, and read if they are equal.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, product
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from pytest_kdmem.corpus.examples import stream_examples
from pytest_kdmem.corpus.tokenizer import load_tokenizer
from pytest_kdmem.errors import KdmemError
from pytest_kdmem.specs.declared import Extraction, TrainingSet
from tests.corpus.tokenizer_layouts import LAYOUTS, TEXTS

EXTRACTION = Extraction(8, 8, 24)
Ids = list[list[int]]
Encode = Callable[[Sequence[str], bool], Ids]
# How a test prepares the data: the training set of a folder, and the rows of ids that a training makes of it.
Prepared = tuple[TrainingSet, Callable[[Encode, bool], Ids]]


@dataclass(frozen=True)
class Layout:
    """A tokenizer folder and the readings of it that a training can have used."""

    folder: Path
    readings: dict[str, Encode]
    eos: str
    adds_special_tokens: bool
    promises_more: bool


@pytest.fixture(scope="module", params=list(LAYOUTS))
def layout(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Layout:
    folder = tmp_path_factory.mktemp("layout")
    LAYOUTS[request.param](folder)
    auto = AutoTokenizer.from_pretrained(folder)
    readings: dict[str, Encode] = {
        "auto": lambda texts, special: [auto(text, add_special_tokens=special)["input_ids"] for text in texts]
    }
    if (folder / "tokenizer.json").exists():
        file = Tokenizer.from_file(str(folder / "tokenizer.json"))
        file.no_padding()
        file.no_truncation()
        readings["file"] = lambda texts, special: [file.encode(text, add_special_tokens=special).ids for text in texts]
    elif pieces := [*folder.glob("*.model")]:
        readings["file"] = sentence_piece_reading(pieces[0], folder)
    adds = any(encode(["a"], True) != encode(["a"], False) for encode in readings.values())
    return Layout(folder, readings, auto.eos_token or "", adds, request.param == "add_eos_token")


def sentence_piece_reading(model: Path, folder: Path) -> Encode:
    from sentencepiece import SentencePieceProcessor

    pieces = SentencePieceProcessor(model_file=str(model))
    settings = json.loads((folder / "tokenizer_config.json").read_text())

    def encode(texts: Sequence[str], special: bool) -> Ids:
        before = [pieces.bos_id()] * (special and settings.get("add_bos_token", False))
        after = [pieces.eos_id()] * (special and settings.get("add_eos_token", False))
        return [[*before, *pieces.encode(text), *after] for text in texts]

    return encode


def write_rows(folder: Path, rows: Iterable[dict[str, Any]]) -> str:
    path = folder / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def as_text(layout: Layout, folder: Path) -> Prepared:
    data = TrainingSet(write_rows(folder, ({"text": text} for text in TEXTS)))
    return data, lambda encode, special: encode(TEXTS, special)


def as_prompt_and_completion(layout: Layout, folder: Path) -> Prepared:
    """Prompt and completion joined as text, which ends in EOS as TRL lets it."""
    texts = [f"Question: {text[:30]}\nAnswer: {text[30:]}{layout.eos}" for text in TEXTS]
    data = TrainingSet(write_rows(folder, ({"text": text} for text in texts)))
    return data, lambda encode, special: encode(texts, special)


def as_blocks(layout: Layout, folder: Path) -> Prepared:
    """All texts joined without EOS, as run_clm does."""
    data = TrainingSet(write_rows(folder, ({"text": text} for text in TEXTS)), form="blocks", eos="never")

    def blocks(encode: Encode, special: bool) -> Ids:
        joined = list(chain.from_iterable(encode(TEXTS, special)))
        return [joined[at : at + EXTRACTION.window_tokens] for at in range(0, len(joined), EXTRACTION.window_tokens)]

    return data, blocks


def audited(layout: Layout, data: TrainingSet) -> Ids | None:
    """What an audit reads; None if it refuses."""
    try:
        tokenizer = load_tokenizer(layout.folder, data.tokenizer)
        return [example.ids.tolist() for example in stream_examples(data, tokenizer, EXTRACTION)]
    except KdmemError as error:
        if "declare" not in str(error):
            raise
        return None


def fill(row: list[int], pad: int, width: int, side: str) -> list[int]:
    padding = [pad] * (width - len(row))
    return padding + row if side == "left" else row + padding


def cut(rows: Ids) -> Ids:
    return [row[: EXTRACTION.window_tokens] for row in rows]


@pytest.mark.parametrize("way", [as_text, as_prompt_and_completion, as_blocks])
def test_text_becomes_what_training_had_or_is_refused(layout: Layout, way, tmp_path: Path) -> None:
    data, rows = way(layout, tmp_path)
    for reading, special in product((*layout.readings, None), (True, False, None)):
        possible = [
            cut(rows(encode, flag))
            for name, encode in layout.readings.items()
            for flag in (True, False)
            if reading in (name, None) and special in (flag, None)
        ]
        audit = audited(layout, replace(data, tokenizer=reading, add_special_tokens=special))
        # That a tokenizer adds EOS changes no example of long documents, and is refused undeclared all the same.
        is_open = special is None and layout.adds_special_tokens
        # Other versions of transformers add what settings promise, so that only a declared reading is certain.
        is_open |= layout.promises_more and special is not False and not (special and reading)
        assert audit is None or not (layout.promises_more and special is None)
        if audit is None and (is_open or knows_nothing_of_special_tokens(layout, reading, special)):
            continue
        if all(each == possible[0] for each in possible):
            assert audit == possible[0]
        else:
            assert audit is None


def knows_nothing_of_special_tokens(layout: Layout, reading: str | None, special: bool | None) -> bool:
    """Whether a SentencePiece model alone is to say which special tokens it adds, which it cannot."""
    settings = json.loads((layout.folder / "tokenizer_config.json").read_text())
    is_alone = bool([*layout.folder.glob("*.model")])
    return is_alone and reading == "file" and special is not False and "add_bos_token" not in settings


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("beside", ["mask", "labels", "mask and labels", "text and mask"])
def test_padded_token_ids_become_what_training_had(layout: Layout, side: str, beside: str, tmp_path: Path) -> None:
    """Padding is found by mask or labels, and the text beside ids is theirs in the reading that made them."""
    for encode, special in product(layout.readings.values(), (True, False)):
        rows = encode(TEXTS, special)
        width = max(map(len, rows)) + 3
        padded = []
        for text, row in zip(TEXTS, rows, strict=True):
            columns = {"input_ids": fill(row, 0, width, side)}
            columns |= {"attention_mask": fill([1] * len(row), 0, width, side)} if "mask" in beside else {}
            columns |= {"labels": fill(row, -100, width, side)} if "labels" in beside else {}
            padded.append(columns | ({"text": text} if "text" in beside else {}))
        assert audited(layout, TrainingSet(write_rows(tmp_path, padded))) == cut(rows)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_without_a_mask_is_refused(layout: Layout, side: str, tmp_path: Path) -> None:
    rows = layout.readings["auto"](TEXTS, False)
    width = max(map(len, rows)) + 5
    for pad in (0, 1, 2, 5):
        path = write_rows(tmp_path, ({"input_ids": fill(row, pad, width, side)} for row in rows))
        with pytest.raises(KdmemError, match="without padding, or with an attention_mask"):
            list(stream_examples(TrainingSet(path), load_tokenizer(layout.folder, "auto"), EXTRACTION))


def test_token_ids_of_another_tokenizer_beside_text_are_refused(layout: Layout, tmp_path: Path) -> None:
    rows = [
        {"input_ids": [(token + 7) % 170 + 5 for token in row], "text": text}
        for row, text in zip(layout.readings["auto"](TEXTS, False), TEXTS, strict=True)
    ]
    tokenizer = load_tokenizer(layout.folder, "auto")
    path = write_rows(tmp_path, rows)
    with pytest.raises(KdmemError, match=r"Token ids of the text beside them were expected in line 1 of"):
        list(stream_examples(TrainingSet(path), tokenizer, EXTRACTION))
    alone = TrainingSet(path, text_column="input_ids")
    assert [example.ids.tolist() for example in stream_examples(alone, tokenizer, EXTRACTION)] == cut(
        [row["input_ids"] for row in rows]
    )


def test_documents_that_end_in_eos_are_joined_as_declared(layout: Layout, tmp_path: Path) -> None:
    if not layout.eos:
        pytest.skip("it has no EOS")
    encode, window = layout.readings["auto"], EXTRACTION.window_tokens
    texts = [text + layout.eos if number % 2 else text for number, text in enumerate(TEXTS)]
    rows = encode(texts, False)
    end = rows[1][-1]
    path = write_rows(tmp_path, ({"text": text} for text in texts))
    for eos in ("once", "always", "never", None):
        joined = list(
            chain.from_iterable(
                row if eos == "never" or (eos == "once" and row[-1] == end) else [*row, end] for row in rows
            )
        )
        data = TrainingSet(path, form="blocks", eos=eos, tokenizer="auto", add_special_tokens=False)
        expected = [joined[at : at + window] for at in range(0, len(joined), window)] if eos else None
        assert audited(layout, data) == expected
