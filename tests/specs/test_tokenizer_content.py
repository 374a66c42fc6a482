"""Tokenizers are equal by what they make of a text, however their files are written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Model
from pytest_kdmem.specs.tokenizer_content import (
    canonical_content,
    check_same_tokenizer,
    different_parts,
    tokenizer_content,
)
from tests.corpus.tokenizer_layouts import byte_level, llama_2, unigram

Json = dict[str, Any]


def content_of(tokenizer: Any) -> Json:
    content: Json = json.loads(tokenizer.to_str())
    return content


def with_merges_as_strings(content: Json) -> None:
    content["model"]["merges"] = [" ".join(merge) for merge in content["model"]["merges"]]


def without_defaults(content: Json) -> None:
    for part in (content["model"], content["pre_tokenizer"] or {}):
        for key in [key for key, value in part.items() if value in (None, "") or value is False]:
            del part[key]
    (content["pre_tokenizer"] or {}).pop("use_regex", None)


def with_empty_prefixes(content: Json) -> None:
    content["model"] |= {"continuing_subword_prefix": "", "end_of_word_suffix": "", "dropout": None}


def as_a_sequence_of_one(content: Json) -> None:
    content["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [content["pre_tokenizer"]]}


def in_another_order(content: Json) -> None:
    content["model"]["vocab"] = dict(reversed(content["model"]["vocab"].items()))


def with_state_and_post_processor(content: Json) -> None:
    content |= {"truncation": {"max_length": 8}, "padding": {"strategy": "BatchLongest"}, "post_processor": None}


@pytest.mark.parametrize(
    "change",
    [
        with_merges_as_strings,
        without_defaults,
        with_empty_prefixes,
        as_a_sequence_of_one,
        in_another_order,
        with_state_and_post_processor,
    ],
)
def test_the_same_in_another_form_is_equal(change: Callable[[Json], None]) -> None:
    before = content_of(byte_level())
    after = deepcopy(before)
    change(after)
    assert json.dumps(before) != json.dumps(after)
    assert different_parts(canonical_content(before), canonical_content(after)) == []


def test_an_older_metaspace_is_equal() -> None:
    before = content_of(unigram())
    after = deepcopy(before)
    after["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "str_rep": "▁", "add_prefix_space": True}
    assert different_parts(canonical_content(before), canonical_content(after)) == []


def other_vocabulary(content: Json) -> None:
    first, second, *_ = content["model"]["vocab"]
    vocabulary = content["model"]["vocab"]
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]


def fewer_merges(content: Json) -> None:
    content["model"]["merges"].pop()


def merges_in_another_order(content: Json) -> None:
    content["model"]["merges"].reverse()


def another_normalizer(content: Json) -> None:
    content["normalizer"] = {"type": "Lowercase"}


def another_pre_tokenizer(content: Json) -> None:
    content["pre_tokenizer"]["use_regex"] = False


def an_added_token(content: Json) -> None:
    content["added_tokens"].append({**content["added_tokens"][0], "id": 9_000, "content": "café"})


def a_token_that_strips(content: Json) -> None:
    content["added_tokens"][0]["lstrip"] = True


def byte_fallback(content: Json) -> None:
    content["model"]["byte_fallback"] = True


@pytest.mark.parametrize(
    ("change", "differing"),
    [
        (other_vocabulary, ["vocabulary"]),
        (fewer_merges, ["merges"]),
        (merges_in_another_order, ["merges"]),
        (another_normalizer, ["normalizer"]),
        (another_pre_tokenizer, ["pre tokenizer"]),
        (an_added_token, ["vocabulary", "added tokens"]),
        (a_token_that_strips, ["added tokens"]),
        (byte_fallback, ["model"]),
    ],
)
def test_what_changes_token_ids_is_named(change: Callable[[Json], None], differing: list[str]) -> None:
    before = content_of(byte_level())
    after = deepcopy(before)
    change(after)
    assert different_parts(canonical_content(before), canonical_content(after)) == differing


def test_scores_of_pieces_count() -> None:
    before = content_of(unigram())
    after = deepcopy(before)
    after["model"]["vocab"][-1][1] -= 1.0
    assert different_parts(canonical_content(before), canonical_content(after)) == ["scores"]
    llama = canonical_content(content_of(llama_2()))
    assert "vocabulary" in different_parts(llama, canonical_content(before))


@pytest.mark.parametrize("family", ["pythia", "olmo2", "qwen3"])
def test_a_model_saved_again_has_the_same_tokenizer(shipped: Path, tmp_path: Path, family: str) -> None:
    original = shipped / f"models/{family}/teacher"
    saved = shutil.copytree(original, tmp_path / "saved")
    AutoTokenizer.from_pretrained(original).save_pretrained(saved)
    content = json.loads((saved / "tokenizer.json").read_text())
    with_merges_as_strings(content)
    (saved / "tokenizer.json").write_text(json.dumps(content))
    checkpoints = {name: open_checkpoint(Model(str(folder))) for name, folder in {"a": original, "b": saved}.items()}
    assert checkpoints["a"].tokenizer_digest != checkpoints["b"].tokenizer_digest
    check_same_tokenizer(checkpoints)


def test_models_of_different_tokenizers_are_refused_with_what_differs(shipped: Path) -> None:
    checkpoints = {
        family: open_checkpoint(Model(str(shipped / f"models/{family}/teacher"))) for family in ("pythia", "qwen3")
    }
    with pytest.raises(SpecError, match=r"of pythia and qwen3, and theirs differ \(vocabulary, merges, .*\); sets"):
        check_same_tokenizer(checkpoints)


@pytest.mark.parametrize(
    "damaged", [{"model": ["a"]}, {"added_tokens": [3]}, {"added_tokens": [{}]}, {"model": {"vocab": 3}}]
)
def test_a_damaged_file_is_refused(tmp_path: Path, damaged: Json) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps({**content_of(byte_level()), **damaged}))
    with pytest.raises(SpecError, match="A tokenizer was expected in"):
        tokenizer_content(tmp_path)
