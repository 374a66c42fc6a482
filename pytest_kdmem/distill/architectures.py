"""Untrained models of the study's three families, at any size: each with its own traits and kind of tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

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

from pytest_kdmem.errors import SpecError

Family = Literal["pythia", "olmo2", "qwen3"]

END_OF_TEXT = "<|endoftext|>"
# The real ones' base is 500 000 and more, for thousands of positions; over a few hundred it would turn hardly any pair.
ROPE = {"rope_type": "default", "rope_theta": 10_000.0}


@dataclass(frozen=True)
class Size:
    """Shape of a model: decoder layers, hidden width, attention heads."""

    layers: int
    width: int
    heads: int


@dataclass(frozen=True)
class _TokenizerKind:
    """What makes one family's byte-level BPE differ from another's.

    ``first`` and ``last`` are the special tokens before and after the learned ones; ``roles`` says which is which.
    """

    pre_tokenizer: PreTokenizer
    roles: dict[str, str]
    first: tuple[str, ...] = ()
    last: tuple[str, ...] = ()
    normalizer: Normalizer | None = None


@dataclass(frozen=True)
class _Architecture:
    """Classes of a family, and what its configuration says beside the size."""

    config: Callable[..., PreTrainedConfig]
    model: Callable[[Any], PreTrainedModel]
    tokenizer: _TokenizerKind


def _split(digits: str) -> PreTokenizer:
    """Words, runs of digits as ``digits`` matches them, punctuation, line ends, blanks: then their bytes."""
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
    """Byte-level BPE of the family's kind, learned from ``texts``: at most ``vocabulary`` tokens, all in all.

    Raises:
        SpecError: the family is unknown, or the vocabulary is too small for bytes and special tokens.
    """
    kind = _architecture(family).tokenizer
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    least = len(alphabet) + len(kind.first) + len(kind.last)
    if vocabulary < least:
        raise SpecError(
            f"A vocabulary of at least {least} was expected, which holds the bytes and the special tokens of {family};"
            f" found {vocabulary}."
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
    vocabulary: int | None = None,
) -> None:
    """Write a model with random weights (float32, a function of ``seed``) and its tokenizer to ``folder``.

    Args:
        family: ``pythia`` is GPT-NeoX, ``olmo2`` OLMo-2 and ``qwen3`` Qwen-3.
        size: layers, width and heads; all families have about as many parameters at the same size.
        tokenizer: saved beside the weights; its special tokens are those of the configuration.
        folder: made if it is not there.
        positions: longest sequence in tokens.
        seed: of the weights; the caller's random state stays as it was.
        vocabulary: rows of the embedding, where it is padded beyond the tokenizer's size, which is the default.

    Raises:
        SpecError: the family is unknown, heads do not divide the width into even parts, or the tokenizer has more
            tokens than ``vocabulary``.
    """
    architecture = _architecture(family)
    # Rotary positions turn pairs of a head's features.
    if size.heads < 1 or size.width % (2 * size.heads):
        raise SpecError(
            f"The width of a {family} model must be its heads times an even number; found width {size.width} and"
            f" {size.heads} heads."
        )
    rows = len(tokenizer) if vocabulary is None else vocabulary
    if rows < len(tokenizer):
        raise SpecError(
            f"At least {len(tokenizer)} embedding rows were expected, one for each token of the tokenizer; found"
            f" {rows}."
        )
    config = architecture.config(
        vocab_size=rows,
        hidden_size=size.width,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        max_position_embeddings=positions,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        **_traits(family, size, tokenizer),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = architecture.model(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _traits(family: Family, size: Size, tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    """What a family's configuration says beside the size; post-norm and normalised queries come with the classes."""
    if family == "pythia":
        return {"intermediate_size": 4 * size.width}
    # A gated block has three matrices where GPT-NeoX has two, so 8/3 of the width makes as many parameters as 4.
    gated = {"intermediate_size": 8 * round(size.width / 3), "rope_parameters": ROPE, "rms_norm_eps": 1e-6}
    if family == "olmo2":
        # Padding has a token of its own. Qwen-3 pads with EOS, which must go on learning, so it is told of none.
        return gated | {"tie_word_embeddings": False, "pad_token_id": tokenizer.pad_token_id}
    return gated | {
        "head_dim": size.width // size.heads,
        # Two query heads share one of keys and values, as in the real family's small models, which tie embeddings, too.
        "num_key_value_heads": size.heads // 2 if size.heads % 2 == 0 else size.heads,
        "tie_word_embeddings": True,
    }


def _architecture(family: str) -> _Architecture:
    if family not in _ARCHITECTURES:
        raise SpecError(f"A model family must be one of {', '.join(_ARCHITECTURES)}; found {family!r}.")
    return _ARCHITECTURES[family]
