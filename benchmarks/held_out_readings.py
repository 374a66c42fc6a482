"""Readings that no threshold of the guard was set on, right and wrong ones: `python benchmarks/held_out_readings.py`.

Models, texts and tokenizers are others than those of its tests. The checks that find wrong readings as files are read
are switched off, so that only the losses of the models can tell.
"""

from __future__ import annotations

import json
import math
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from pytest_kdmem.errors import SpecError
from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet

CHECKS = (
    "pytest_kdmem.corpus.read_tokenizer._hold_together",
    "pytest_kdmem.corpus.examples.check_is_of_text",
    "pytest_kdmem.corpus.padding.PaddingCheck.add",
    "pytest_kdmem.corpus.padding.PaddingCheck.finish",
)
SPECIAL = ["<unk>", "<s>", "</s>", "<pad>"]
BOS, EOS, PAD = 1, 2, 3
LENGTH = 48
EXTRACTION = Extraction(12, 24, LENGTH)
Rows = list[list[int]]


def instructions(count: int, seed: int = 0) -> list[str]:
    draw = random.Random(seed)
    asked = ["Name", "Sort", "Translate", "Explain", "Count"]
    things = ["the rivers of", "all towns in", "two kings of", "the hills near"]
    places = ["Anvik", "Brume", "Carrow", "Dunmore", "Elgin", "Farrow", "Gant"]
    return [
        f"### Instruction: {draw.choice(asked)} {draw.choice(things)} {draw.choice(places)} in {draw.randrange(900)}"
        f" words.\n### Response: {' '.join(draw.choice(places) + str(draw.randrange(99)) for _ in range(14))}"
        for _ in range(count)
    ]


def code(count: int, seed: int = 0) -> list[str]:
    draw = random.Random(seed)
    names = ["total", "index", "rows", "width", "key", "cache", "left", "right"]

    def line() -> str:
        target, first, second = (draw.choice(names) for _ in range(3))
        return f"    {target}[{draw.randrange(64)}] = {first} {draw.choice('+-*%')} {second}.get({draw.randrange(512)})"

    return ["def f(rows):\n" + "\n".join(line() for _ in range(6)) + "\n    return rows\n" for _ in range(count)]


def foreign(count: int, seed: int = 0) -> list[str]:
    draw = random.Random(seed)
    parts = "über fähr straß möw zwölf könn größ mäd wört schlüss fräul gäst hüt köch läng".split()
    ends = "chen lich ung keit er te st en sel".split()
    return [" ".join(draw.choice(parts) + draw.choice(ends) for _ in range(24)) + "." for _ in range(count)]


def train_tokenizer(
    model: Any, trainer: Any, texts: Sequence[str], before: Any, decoder: Any, normalizer: Any = None
) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = before
    tokenizer.decoder = decoder
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def unigram(texts: Sequence[str]) -> Tokenizer:
    trainer = trainers.UnigramTrainer(vocab_size=260, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False)
    return train_tokenizer(models.Unigram(), trainer, texts, pre_tokenizers.Metaspace(), decoders.Metaspace())


def word_piece(texts: Sequence[str]) -> Tokenizer:
    trainer = trainers.WordPieceTrainer(vocab_size=340, special_tokens=SPECIAL, show_progress=False)
    normalizer = normalizers.BertNormalizer(lowercase=False)
    return train_tokenizer(
        models.WordPiece(unk_token="<unk>"),
        trainer,
        texts,
        pre_tokenizers.BertPreTokenizer(),
        decoders.WordPiece(),
        normalizer,
    )


def digits(texts: Sequence[str]) -> Tokenizer:
    before = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=420, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    return train_tokenizer(models.BPE(), trainer, texts, before, decoders.ByteLevel())


def with_bos(tokenizer: Tokenizer) -> Tokenizer:
    adding = Tokenizer.from_str(tokenizer.to_str())
    adding.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", BOS)])
    return adding


@dataclass(frozen=True)
class Trained:
    """A model to train: its architecture and size, learning rate, and the loss at which training ends."""

    family: str = "llama"
    hidden: int = 48
    layers: int = 2
    rate: float = 5e-3
    until: float = 0.05

    def make(self, folder: Path, rows: Rows) -> float:
        torch.manual_seed(3)
        torch.set_num_threads(1)
        common = {"vocab_size": 450, "bos_token_id": BOS, "eos_token_id": EOS, "pad_token_id": PAD}
        shape = {"hidden_size": self.hidden, "num_hidden_layers": self.layers, "num_attention_heads": 4}
        shape |= {"intermediate_size": 96, "max_position_embeddings": 256}
        shape |= {"n_embd": self.hidden, "n_layer": self.layers, "n_head": 4, "n_positions": 256}
        config = AutoConfig.for_model(self.family, **common, **shape)
        model = AutoModelForCausalLM.from_config(config)
        labels = torch.full((len(rows), max(map(len, rows))), -100)
        for row, ids in enumerate(rows):
            labels[row, : len(ids)] = torch.tensor(ids)
        optimizer = torch.optim.AdamW(model.parameters(), lr=self.rate)
        loss = torch.tensor(9.0)
        for _ in range(600):
            loss = model(labels.clamp(min=0), labels=labels).loss
            if loss < self.until:
                break
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.save_pretrained(folder)
        return float(loss.detach())


@dataclass(frozen=True)
class Case:
    """A model, what it was trained on, the rows of the audit, and what is declared about these."""

    name: str
    tokenizer: Tokenizer
    trained_on: Rows
    rows: list[dict[str, Any]]
    model: Trained = Trained()
    declared: dict[str, Any] = field(default_factory=dict)


def ids(tokenizer: Tokenizer, texts: Sequence[str], length: int = LENGTH, **how: Any) -> Rows:
    return [encoding.ids[:length] for encoding in tokenizer.encode_batch(list(texts), **how)]


def packed(rows: Rows, end: Sequence[int] = (EOS,)) -> Rows:
    stream = [token for row in rows for token in [*row, *end]]
    return [stream[start : start + LENGTH] for start in range(0, len(stream) - LENGTH + 1, LENGTH)]


def as_text(texts: Sequence[str]) -> list[dict[str, Any]]:
    return [{"text": text} for text in texts]


def as_ids(rows: Rows) -> list[dict[str, Any]]:
    return [{"input_ids": row} for row in rows]


def right_cases() -> Iterator[Case]:
    asked, written, other = instructions(16), code(16), foreign(16)
    pieces, parts, bytes_ = unigram(other), word_piece(asked), digits(written)
    yield Case("unigram, text", pieces, ids(pieces, other), as_text(other))
    yield Case("WordPiece, text, partly trained", parts, ids(parts, asked), as_text(asked), Trained(until=1.5))
    yield Case("byte-level with digits, code", bytes_, ids(bytes_, written), as_text(written), Trained("gpt_neox", 64))
    yield Case(
        "learned positions, token ids", bytes_, ids(bytes_, written), as_ids(ids(bytes_, written)), Trained("gpt2")
    )
    many = [*instructions(60, 1), *asked]
    yield Case("76 instructions, of which 16 are audited", parts, ids(parts, many), as_text(asked), Trained(until=0.6))
    adding = with_bos(pieces)
    yield Case(
        "with a beginning token", adding, ids(adding, other), as_text(other), declared={"add_special_tokens": True}
    )
    yield Case(
        "without the one that the tokenizer adds",
        adding,
        ids(adding, other, add_special_tokens=False),
        as_text(other),
        declared={"add_special_tokens": False},
    )
    whole = ids(bytes_, written, 999)
    yield Case("blocks of code", bytes_, packed(whole), as_text(written), Trained("gpt_neox"), {"form": "blocks"})
    yield Case(
        "blocks without an end token, partly trained",
        parts,
        packed(ids(parts, asked, 999), ()),
        as_text(asked),
        Trained(until=1.0),
        {"form": "blocks", "eos": "never"},
    )
    among = ids(bytes_, [*written, *code(48, 2)])
    yield Case("code that was trained on with other code", bytes_, among, as_text(written))
    both = [*ids(parts, asked) * 33, *ids(parts, instructions(64, 3))]
    yield Case("rows of which some were not trained on", parts, ids(parts, asked), as_ids(both))
    long = [*ids(bytes_, written)] * 40
    yield Case("640 rows, one layer", bytes_, ids(bytes_, written), as_ids(long), Trained(layers=1, rate=1e-2))


def wrong_cases() -> Iterator[Case]:
    asked, written, other = instructions(16), code(16), foreign(16)
    pieces, parts, bytes_ = unigram(other), word_piece(asked), digits(written)
    adding = with_bos(pieces)
    bare = {"add_special_tokens": False}
    yield Case("no beginning token", adding, ids(adding, other), as_text(other), declared=bare)
    half = Trained("gpt_neox", until=0.8)
    yield Case("the same, partly trained", adding, ids(adding, other), as_text(other), half, bare)
    whole = ids(bytes_, code(32), 999)
    yield Case(
        "blocks without an end token as documents", bytes_, packed(whole, ()), as_text(code(32)), Trained("gpt_neox")
    )
    padded = [[PAD] * 16 + row for row in ids(bytes_, written)]
    yield Case("padded on the left", bytes_, ids(bytes_, written), as_ids(padded))
    yield Case(
        "the same, learned positions, partly trained",
        bytes_,
        ids(bytes_, written),
        as_ids(padded),
        Trained("gpt2", until=0.5),
    )
    yield Case("token ids of another tokenizer", parts, ids(parts, asked), as_ids(ids(word_piece(foreign(99)), asked)))
    beside = [{"text": text, "input_ids": row} for text, row in zip(other, ids(unigram(code(16)), other), strict=True)]
    yield Case("token ids of another tokenizer beside their text", pieces, ids(pieces, other), beside)
    yield Case("documents as blocks", parts, ids(parts, asked), as_text(asked), declared={"form": "blocks"})
    yield Case(
        "blocks with two end tokens", bytes_, packed(ids(bytes_, written, 999)),
        as_text([f"{text}</s>" for text in written]), Trained("gpt_neox"), {"form": "blocks", "eos": "always"},
    )  # fmt: skip
    tail = [*ids(bytes_, written) * 33, *([PAD] * 16 + row for row in ids(bytes_, written) * 4)]
    yield Case("padded behind the first 528 rows", bytes_, ids(bytes_, written), as_ids(tail))
    foreign_tail = [*ids(pieces, other) * 33, *ids(unigram(code(16)), other) * 4]
    yield Case("another tokenizer behind the first 528 rows", pieces, ids(pieces, other), as_ids(foreign_tail))
    tenth = [*ids(parts, asked) * 9, *ids(word_piece(foreign(99)), asked)]
    yield Case("another tokenizer for a tenth of 160 rows", parts, ids(parts, asked), as_ids(tenth))


def outcome(case: Case, folder: Path) -> tuple[str, float, float]:
    """What the guard says, the last loss of training, and the share of the rows that the audit finds recited."""
    PreTrainedTokenizerFast(
        tokenizer_object=case.tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    ).save_pretrained(folder)
    loss = case.model.make(folder, case.trained_on)
    path = folder / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in case.rows))
    training_set = TrainingSet(str(path), **case.declared)
    try:
        table = score(Model(str(folder)), training_set, EXTRACTION, ScoreStore(folder / "store"), metrics="verdict")
    except SpecError as error:
        return f"stopped ({str(error).rpartition(' ')[2].rstrip('.')})", loss, float("nan")
    recited = [value for value in table.rows["memorized"].to_pylist() if value is not None]
    verdict = "stopped (noise)" if table.noise else "warned" if table.notes else "passed"
    return verdict, loss, sum(recited) / len(recited)


def main() -> None:
    kinds: dict[str, Callable[[], Iterator[Case]]] = {"right": right_cases, "wrong": wrong_cases}
    print("| kind | case | loss in training | recited | the guard |\n|---|---|---|---|---|")
    for patched in CHECKS:
        patch(patched, lambda *arguments: None).start()
    for kind, cases in kinds.items():
        for case in cases():
            with tempfile.TemporaryDirectory() as folder:
                verdict, loss, recited = outcome(case, Path(folder))
            share = "–" if math.isnan(recited) else f"{recited:.0%}"
            print(f"| {kind} | {case.name} | {loss:.2f} | {share} | {verdict} |", flush=True)


if __name__ == "__main__":
    main()
