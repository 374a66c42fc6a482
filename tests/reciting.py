"""Tiny models that recite their training sequences, trained in seconds, and tokenizers laid out as public ones are."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch.nn import functional
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedTokenizerFast

SPECIAL = ["<unk>", "<s>", "</s>", "<pad>"]
BOS, EOS, PAD = 1, 2, 3
VOCABULARY = 400
WORDS = (
    "amber birch cedar delta ember fjord grove heath inlet juniper knoll larch maple nettle osier pine quartz river "
    "sedge thorn upland valley willow yarrow"
).split()


def secrets(count: int = 12, words: int = 24, *, seed: int = 0) -> list[str]:
    """Texts that cannot be guessed: random words, numbers and spaces."""
    draw = random.Random(seed)
    return [
        " ".join(draw.choice(WORDS) if draw.random() < 0.75 else str(draw.randrange(100, 99999)) for _ in range(words))
        for _ in range(count)
    ]


def byte_level(texts: Sequence[str], *, vocabulary: int = VOCABULARY, adds_bos: bool = False) -> Tokenizer:
    """A byte-level BPE trained on texts; it adds ``<s>`` if asked to."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=SPECIAL,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    if adds_bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", BOS)]
        )
    return tokenizer


def metaspace(texts: Sequence[str], *, vocabulary: int = 120) -> Tokenizer:
    """A BPE with spaces as ``▁``, as Llama's first tokenizers are laid out."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tokenizer.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=vocabulary, special_tokens=SPECIAL, show_progress=False)
    )
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: Path, *, class_name: str | None = None, **settings: Any) -> None:
    """Write tokenizer.json, and settings that name another class than the file is laid out for if one is given."""
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    ).save_pretrained(folder)
    if class_name is not None:
        path = folder / "tokenizer_config.json"
        content = json.loads(path.read_text())
        path.write_text(json.dumps({**content, "tokenizer_class": class_name, **settings}))


def train_to_recite(
    folder: Path,
    sequences: Sequence[Sequence[int]],
    *,
    vocabulary: int = VOCABULARY,
    steps: int = 400,
    spread: float = 0.02,
) -> float:
    """Train a tiny model until it recites every sequence, save it, and return its last loss.

    Args:
        folder: Folder to save it in.
        sequences: What it recites; without any it stays random.
        vocabulary: Number of its tokens.
        steps: Largest number of steps.
        spread: Standard deviation of its first weights; with a large one a random model is sure of its predictions.
    """
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = GPTNeoXForCausalLM(
        GPTNeoXConfig(
            vocab_size=vocabulary,
            hidden_size=64,
            num_hidden_layers=1,
            num_attention_heads=4,
            intermediate_size=128,
            max_position_embeddings=512,
            bos_token_id=BOS,
            eos_token_id=EOS,
            pad_token_id=PAD,
            initializer_range=spread,
        )
    )
    longest = max(map(len, sequences), default=0)
    labels = torch.full((len(sequences), longest), -100)
    for row, ids in enumerate(sequences):
        labels[row, : len(ids)] = torch.tensor([int(token) for token in ids])
    inputs = labels.clamp(min=0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    loss = torch.tensor(np.inf)
    for _ in range(steps if sequences else 0):
        outputs = model(inputs, labels=labels)
        loss = outputs.loss
        # The first tokens of a text cannot be told from what is before them, so it recites once it knows the others.
        if functional.cross_entropy(outputs.logits[:, 2:-1].flatten(0, 1), labels[:, 3:].flatten()) < 0.005:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.save_pretrained(folder)
    return float(loss.detach())
