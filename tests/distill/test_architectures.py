"""Untrained models have their family's architecture and kind of tokenizer, and weights that follow from the seed."""

from __future__ import annotations

import gzip
import json
import re
import unicodedata

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer, GPTNeoXConfig, GPTNeoXForCausalLM

from pytest_kdmem.distill.architectures import train_tokenizer, write_untrained
from pytest_kdmem.distill.shapes import Size
from pytest_kdmem.errors import SpecError

FAMILIES = ("pythia", "olmo2", "qwen3")
SIZE = Size(layers=2, width=32, heads=4)
VOCABULARY = 300
TEXTS = ["It's 1234567 o'clock, isn't it?\n\nYes: 12.50 $ !", "amber birch cedar  delta 2024", "café — näïve 漢字"] * 3


@pytest.fixture(scope="module")
def tokenizers():
    return {family: train_tokenizer(family, TEXTS, VOCABULARY) for family in FAMILIES}


@pytest.fixture(scope="module")
def folders(tokenizers, tmp_path_factory):
    folders = {family: tmp_path_factory.mktemp(family) for family in FAMILIES}
    for family, folder in folders.items():
        write_untrained(family, SIZE, tokenizers[family], folder)
    return folders


def config(folder):
    return json.loads((folder / "config.json").read_text())


def pieces_of(tokenizer, text):
    """Pieces that merges do not cross, as text."""
    backend = tokenizer.backend_tokenizer
    return [text[start:end] for _, (start, end) in backend.pre_tokenizer.pre_tokenize_str(text)]


def test_numbers_are_split_as_the_family_splits_them(tokenizers):
    pieces = {family: pieces_of(tokenizers[family], "in 1234567 x") for family in FAMILIES}
    assert pieces == {
        "pythia": ["in", " 1234567", " x"],
        "olmo2": ["in", " ", "123", "456", "7", " x"],
        "qwen3": ["in", " ", "1", "2", "3", "4", "5", "6", "7", " x"],
    }


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("It's JOHN'S", ["It", "'s", " JOHN", "'S"]),
        ("(word)!\n\nnext", ["(word", ")!\n\n", "next"]),
        ("a   b  \n c", ["a", "  ", " b", "  \n", " c"]),
    ],
)
def test_words_are_split_as_cl100k_splits_them(tokenizers, text, pieces):
    assert pieces_of(tokenizers["olmo2"], text) == pieces_of(tokenizers["qwen3"], text) == pieces


@pytest.mark.parametrize("family", FAMILIES)
def test_the_saved_tokenizer_gives_the_same_ids(tokenizers, folders, family):
    loaded = AutoTokenizer.from_pretrained(folders[family])
    for text in [*TEXTS, "unseen \U0001f40c <|endoftext|> e\u0301"]:
        assert loaded(text)["input_ids"] == tokenizers[family](text)["input_ids"]


@settings(max_examples=60)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_bytes_make_every_text_encodable(tokenizers, text):
    for family in FAMILIES:
        ids = tokenizers[family].backend_tokenizer.encode(text, add_special_tokens=False).ids
        expected = unicodedata.normalize("NFC", text) if family == "qwen3" else text
        assert tokenizers[family].backend_tokenizer.decode(ids, skip_special_tokens=False) == expected


def test_only_qwen_gives_a_letter_with_a_combining_accent_the_ids_of_the_accented_letter(tokenizers):
    same = {
        family: tokenizer("caf\u00e9")["input_ids"] == tokenizer("cafe\u0301")["input_ids"]
        for family, tokenizer in tokenizers.items()
    }
    assert same == {"pythia": False, "olmo2": False, "qwen3": True}


def test_special_tokens_are_those_of_the_family(tokenizers):
    special = {
        family: (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token, tokenizer.eos_token_id)
        for family, tokenizer in tokenizers.items()
    }
    end, size = "<|endoftext|>", {family: len(tokenizer) for family, tokenizer in tokenizers.items()}
    assert special == {
        "pythia": (end, end, None, 0),  # before the learned tokens
        "olmo2": (end, end, "<|pad|>", size["olmo2"] - 4),  # after them
        "qwen3": (None, end, end, size["qwen3"] - 3),
    }
    # None of the tokenizers adds a special token by itself.
    assert all(
        not {0, tokenizer.eos_token_id} & set(tokenizer("amber")["input_ids"]) for tokenizer in tokenizers.values()
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_the_vocabulary_is_as_large_as_asked_for(family):
    texts = [" ".join(f"{a}{b}{c}" for a in "abcdef" for b in "ghijkl" for c in "mnopqr")]
    assert len(train_tokenizer(family, texts, 320)) == 320


def test_configurations_and_layers_are_those_of_the_family(folders):
    pythia, olmo2, qwen3 = (config(folders[family]) for family in FAMILIES)
    assert (pythia["model_type"], olmo2["model_type"], qwen3["model_type"]) == ("gpt_neox", "olmo2", "qwen3")
    assert (pythia["tie_word_embeddings"], olmo2["tie_word_embeddings"], qwen3["tie_word_embeddings"]) == (
        False,
        False,
        True,
    )
    assert (olmo2["num_key_value_heads"], qwen3["num_key_value_heads"], qwen3["head_dim"]) == (4, 2, 8)
    assert pythia["rope_parameters"]["partial_rotary_factor"] == 0.25
    assert (pythia["eos_token_id"], pythia["bos_token_id"], qwen3["bos_token_id"]) == (0, 0, None)
    # The embedding of the padding token is never trained, so it must not be that of EOS.
    assert olmo2["pad_token_id"] != olmo2["eos_token_id"]
    assert qwen3["pad_token_id"] is None
    tensors = {family: set(AutoModelForCausalLM.from_pretrained(folders[family]).state_dict()) for family in FAMILIES}
    layers = {family: {re.sub(r".*layers\.\d+\.", "", name) for name in names} for family, names in tensors.items()}
    assert {"post_attention_layernorm.weight", "post_feedforward_layernorm.weight"} <= layers["olmo2"]
    assert "input_layernorm.weight" not in layers["olmo2"]
    assert {"self_attn.q_norm.weight", "self_attn.k_norm.weight"} <= layers["olmo2"] & layers["qwen3"]
    assert "input_layernorm.weight" in layers["qwen3"]


def test_with_an_odd_number_of_heads_every_head_has_keys_of_its_own(tokenizers, tmp_path):
    write_untrained("qwen3", Size(1, 24, 3), tokenizers["qwen3"], tmp_path)
    assert config(tmp_path)["num_key_value_heads"] == 3


def test_families_have_about_as_many_parameters_at_the_same_size(tokenizers, tmp_path):
    counts = {}
    for family in FAMILIES:
        write_untrained(family, Size(2, 96, 3), tokenizers[family], tmp_path / family)
        model = AutoModelForCausalLM.from_pretrained(tmp_path / family)
        counts[family] = sum(weights.numel() for name, weights in model.named_parameters() if ".layers." in name)
    assert max(counts.values()) < 1.05 * min(counts.values())


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_follow_the_seed_and_leave_the_callers_random_state(tokenizers, folders, tmp_path, family):
    torch.manual_seed(7)
    state = torch.random.get_rng_state()
    for name, seed in (("same", 0), ("other", 1)):
        write_untrained(family, SIZE, tokenizers[family], tmp_path / name, seed=seed)
    assert torch.equal(torch.random.get_rng_state(), state)
    weights = [(folder / "model.safetensors").read_bytes() for folder in (folders[family], tmp_path / "same")]
    assert weights[0] == weights[1] != (tmp_path / "other" / "model.safetensors").read_bytes()


def test_positions_are_the_longest_sequence(tokenizers, tmp_path):
    write_untrained("pythia", SIZE, tokenizers["pythia"], tmp_path, positions=64)
    assert config(tmp_path)["max_position_embeddings"] == 64


def test_an_untrained_pythia_is_what_the_shipped_models_started_from(shipped, tmp_path):
    """Tokenizer files agree byte for byte; weights and configuration agree with those that transformers writes."""
    with gzip.open(shipped / "corpus" / "pretraining.jsonl.gz", "rt", encoding="utf-8") as file:
        tokenizer = train_tokenizer("pythia", (json.loads(line)["text"] for line in file), 2048)
    write_untrained("pythia", Size(layers=4, width=96, heads=3), tokenizer, tmp_path / "actual")
    torch.manual_seed(0)
    expected = GPTNeoXConfig(
        vocab_size=2048,
        hidden_size=96,
        num_hidden_layers=4,
        num_attention_heads=3,
        intermediate_size=384,
        max_position_embeddings=256,
        bos_token_id=0,
        eos_token_id=0,
    )
    GPTNeoXForCausalLM(expected).save_pretrained(tmp_path / "expected")
    base = shipped / "models" / "pythia" / "base-small"
    for name, folder in {
        "tokenizer.json": base,
        "tokenizer_config.json": base,
        "config.json": tmp_path / "expected",
        "generation_config.json": tmp_path / "expected",
        "model.safetensors": tmp_path / "expected",
    }.items():
        assert (tmp_path / "actual" / name).read_bytes() == (folder / name).read_bytes(), name


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (Size(1, 32, 3), "found width 32 and 3 heads"),
        (Size(1, 9, 3), "heads times an even number"),
        (Size(1, 32, 0), "found width 32 and 0 heads"),
    ],
)
def test_heads_must_divide_the_width_into_even_parts(tokenizers, tmp_path, size, message):
    with pytest.raises(SpecError, match=message):
        write_untrained("qwen3", size, tokenizers["qwen3"], tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_an_unknown_family_and_too_small_a_vocabulary_are_refused(tokenizers, tmp_path):
    with pytest.raises(SpecError, match="must be one of pythia, olmo2, qwen3; found 'llama'"):
        train_tokenizer("llama", TEXTS, VOCABULARY)
    with pytest.raises(SpecError, match="must be one of pythia, olmo2, qwen3; found 'llama'"):
        write_untrained("llama", SIZE, tokenizers["pythia"], tmp_path)
    with pytest.raises(SpecError, match=r"at least 260 was expected, to hold .* found 259"):
        train_tokenizer("olmo2", TEXTS, 259)
