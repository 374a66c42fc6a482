"""Untrained models of the study's three families, at any size, with the family's architecture and kind of tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers.normalizers import Normalizer
from tokenizers.pre_tokenizers import PreTokenizer
from transformers import (
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    Olmo2Config,
    Olmo2ForCausalLM,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from pytest_kdmem.distill.shapes import Family, Size
from pytest_kdmem.errors import SpecError
from pytest_kdmem.errors.harmless import quoted

END_OF_TEXT = "<|endoftext|>"
# The published models use a base of 500 000 or more, for thousands of positions; with it, a few hundred positions would
# rotate hardly any pair of features.
ROPE = {"rope_type": "default", "rope_theta": 10_000.0}


@dataclass(frozen=True)
class _TokenizerKind:
    """The parts in which the families' byte-level BPE tokenizers differ.

    Args:
        pre_tokenizer: Splits text into the pieces that merges do not cross.
        roles: Names of special tokens, by role: ``eos_token``, ``pad_token``, …
        first: Special tokens with ids before those of the learned tokens.
        last: Special tokens with ids after those of the learned tokens.
        normalizer: Normalises text before it is split; None leaves it as it is.
    """

    pre_tokenizer: PreTokenizer
    roles: dict[str, str]
    first: tuple[str, ...] = ()
    last: tuple[str, ...] = ()
    normalizer: Normalizer | None = None


@dataclass(frozen=True)
class _Architecture:
    """Classes of a family's configuration and model, and its kind of tokenizer."""

    config: Callable[..., PreTrainedConfig]
    model: Callable[[Any], PreTrainedModel]
    tokenizer: _TokenizerKind


def _split(digits: str) -> PreTokenizer:
    """Split text as cl100k does, with numbers split by the pattern ``digits``, and then into bytes."""
    pattern = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|" + digits + r"| ?[^\s\p{L}\p{N}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


_ARCHITECTURES: dict[str, _Architecture] = {
    "pythia": _Architecture(
        GPTNeoXConfig,
        GPTNeoXForCausalLM,
        _TokenizerKind(
            pre_tokenizers.ByteLevel(add_prefix_space=False),
            {"eos_token": END_OF_TEXT, "bos_token": END_OF_TEXT},
            first=(END_OF_TEXT,),
        ),
    ),
    "olmo2": _Architecture(
        Olmo2Config,
        Olmo2ForCausalLM,
        _TokenizerKind(
            _split(r"\p{N}{1,3}"),
            {"eos_token": END_OF_TEXT, "bos_token": END_OF_TEXT, "unk_token": END_OF_TEXT, "pad_token": "<|pad|>"},
            last=(END_OF_TEXT, "<|im_start|>", "<|im_end|>", "<|pad|>"),
        ),
    ),
    "qwen3": _Architecture(
        Qwen3Config,
        Qwen3ForCausalLM,
        _TokenizerKind(
            _split(r"\p{N}"),
            {"eos_token": END_OF_TEXT, "pad_token": END_OF_TEXT},
            last=(END_OF_TEXT, "<|im_start|>", "<|im_end|>"),
            normalizer=normalizers.NFC(),
        ),
    ),
}


def train_tokenizer(family: Family, texts: Iterable[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer of the family's kind.

    Args:
        family: Family whose kind of tokenizer it is.
        texts: Texts to learn the merges from.
        vocabulary: Largest number of tokens, special tokens included.

    Raises:
        SpecError: The family is unknown, or the vocabulary is too small for bytes and special tokens.
    """
    kind = _architecture(family).tokenizer
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    smallest = len(alphabet) + len(kind.first) + len(kind.last)
    if vocabulary < smallest:
        raise SpecError(
            f"A vocabulary of at least {smallest} was expected, to hold the bytes and special tokens of {family}; found"
            f" {vocabulary}."
        )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = kind.pre_tokenizer
    if kind.normalizer is not None:
        tokenizer.normalizer = kind.normalizer
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(kind.last),
        special_tokens=list(kind.first),
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens(list(kind.last))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **kind.roles)


def write_untrained(
    family: Family,
    size: Size,
    tokenizer: PreTrainedTokenizerFast,
    folder: Path,
    *,
    positions: int = 256,
    seed: int = 0,
) -> None:
    """Write a model with random float32 weights and its tokenizer to a folder.

    Args:
        family: ``pythia`` is GPT-NeoX, ``olmo2`` OLMo-2 and ``qwen3`` Qwen-3.
        size: Shape of the model; models of one size have about as many parameters in all families.
        tokenizer: Tokenizer to save beside the weights; it gives the special tokens of the configuration.
        folder: Folder to write to; it is created if missing.
        positions: Length in tokens of the longest sequence.
        seed: Seed of the weights; the caller's random state is left unchanged.

    Raises:
        SpecError: The family is unknown, or the heads do not divide the width into even parts.
    """
    architecture = _architecture(family)
    # Rotary position embeddings rotate pairs of a head's features.
    if size.heads < 1 or size.width % (2 * size.heads):
        raise SpecError(
            f"The width of a {family} model must be its heads times an even number; found width {size.width} and"
            f" {size.heads} heads."
        )
    config = architecture.config(
        vocab_size=len(tokenizer),
        hidden_size=size.width,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        max_position_embeddings=positions,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        **_family_settings(family, size, tokenizer),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = architecture.model(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _family_settings(family: Family, size: Size, tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    """The configuration of a family besides its size; post-norm and normalised queries are part of its classes."""
    if family == "pythia":
        return {"intermediate_size": 4 * size.width}
    # A gated block has three matrices and GPT-NeoX has two, so 8/3 of the width gives as many parameters as 4.
    gated = {"intermediate_size": 8 * round(size.width / 3), "rope_parameters": ROPE, "rms_norm_eps": 1e-6}
    if family == "olmo2":
        # OLMo-2 has a padding token of its own. Qwen-3 pads with EOS, whose embedding has to be trained, so its
        # configuration names no padding token.
        return gated | {"tie_word_embeddings": False, "pad_token_id": tokenizer.pad_token_id}
    return gated | {
        "head_dim": size.width // size.heads,
        # As in the published small models, two query heads share one head of keys and values, and embeddings are tied.
        "num_key_value_heads": size.heads // 2 if size.heads % 2 == 0 else size.heads,
        "tie_word_embeddings": True,
    }


def _architecture(family: str) -> _Architecture:
    if family not in _ARCHITECTURES:
        raise SpecError(f"A model family must be one of {', '.join(_ARCHITECTURES)}; found {quoted(family)}.")
    return _ARCHITECTURES[family]
