"""What a user declares: frozen values, checked where they are made, cheap to make (nothing is opened or loaded)."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, fields
from typing import Literal, get_args

from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.base.text import last_part
from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.checks import choice, number, optional, require, source, whole_number

DType = Literal["auto", "float32", "bfloat16", "float16"]
Form = Literal["documents", "blocks"]
Documents = Literal["lines", "articles"]

_TRAINING_SET_CHECKS = {
    "form": choice(*get_args(Form)),
    "documents": choice(*get_args(Documents)),
    "sample": optional(whole_number(1)),
    "seed": whole_number(0, bits=64),
    "minimum_tokens": whole_number(0),
}


@dataclass(frozen=True)
class Model:
    """A causal language model: a folder with safetensors weights, or a hub id.

    Args:
        source: folder or hub id.
        revision: hub branch, tag or commit.
        dtype: what the weights are computed in; ``auto`` is float32 on a CPU, the checkpoint's own on a GPU.
        trust_remote_code: run modelling code that came with the checkpoint.

    Raises:
        SpecError: an argument is of the wrong kind.
    """

    source: str
    revision: str | None = None
    dtype: DType = "auto"
    trust_remote_code: bool = False

    def __post_init__(self) -> None:
        require("a model's source", self.source, source)
        object.__setattr__(self, "source", os.fspath(self.source))
        require(f"dtype of model {self.source}", self.dtype, choice(*get_args(DType)))

    @property
    def name(self) -> str:
        """Last part of the source: what reports call a model that has no role."""
        return last_part(self.source)


@dataclass(frozen=True)
class TrainingSet:
    """Text or token ids that models were trained on.

    A preset is one of the study's data sets with its filter and its splits. ``TrainingSet("fineweb")`` is the first
    1 000 000 documents of 256 tokens or more, as is ``TrainingSet("nemotron-cc-v2")``; ``"fineweb:held-out"`` is the
    10 000 after them. ``TrainingSet("wikitext-103")`` is every article of 256 tokens or more, and
    ``"wikitext-103:held-out"`` those of the split ``validation``. No row of the source is in both parts where they are
    read with the same tokenizer, ``config``, ``revision`` and ``add_special_tokens``, on which lengths hang; copies of
    a text in several rows may be. For all of a preset's source, name its hub id. A file or folder of a preset's name
    hides it.

    An example's id, everywhere, is its position in the training set as audited: the n-th of the documents (or blocks)
    left once short ones are left out, from 0. It is no line or row number of the source unless nothing was left out,
    and ids of sets with another ``minimum_tokens``, tokenizer or part are not comparable; digests of examples
    are, within one tokenizer and window.

    Args:
        source: .jsonl(.gz|.zst), .txt, .parquet, .arrow, .npy ``[examples, tokens]``, a folder saved by ``datasets``,
            a hub id, or a preset by name: ``fineweb``, ``wikitext-103``, ``nemotron-cc-v2``, or its held-out part,
            ``fineweb:held-out`` and so on. Of .jsonl(.gz|.zst), .txt and .parquet also an address (``s3://``, ``gs://``,
            ``abfss://``, ``hdfs://``, ``file://``) of a file, of a folder with all below it, or of a pattern such as
            ``s3://bucket/train/part-*.parquet``: these are read in the order of their paths.
        text_column: column of the text; a column ``input_ids`` beside it or instead of it is taken as token ids.
        split: split of a hub dataset or of a saved ``DatasetDict``; of a preset, another than ``train`` is taken whole.
        config: configuration name of a hub dataset.
        revision: hub branch, tag or commit.
        form: ``documents`` takes the first window of each document; ``blocks`` joins documents by EOS and cuts windows.
        add_special_tokens: whether training let the tokenizer add its special tokens (BOS); audits must do the same.
        sample: audit this many distinct examples, drawn at random; all of them if None.
        seed: of the sample.
        documents: what a document is: each line or row (``lines``), or each article (``articles``) of WikiText, joined
            from its heading `` = Title = `` and the lines that follow. The preset ``wikitext-103`` is read as articles.
        minimum_tokens: a document of fewer tokens is left out, before blocks are joined, and counted; it must be what
            training left out. 0 leaves out none; a preset has its own.

    Raises:
        SpecError: an argument is of the wrong kind.
    """

    source: str
    text_column: str = "text"
    split: str = "train"
    config: str | None = None
    revision: str | None = None
    form: Form = "documents"
    add_special_tokens: bool = False
    sample: int | None = None
    seed: int = 0
    documents: Documents = "lines"
    minimum_tokens: int = 0

    def __post_init__(self) -> None:
        require("a training set's source", self.source, source)
        object.__setattr__(self, "source", os.fspath(self.source))
        for name, check in _TRAINING_SET_CHECKS.items():
            require(f"{name} of training set {self.source}", getattr(self, name), check)

    @property
    def name(self) -> str:
        """Last part of the source, without endings."""
        return last_part(self.source).split(".")[0]

    @property
    def label(self) -> str:
        """The source, and all that is not as it is if nothing is said: what tells sets of one source apart."""
        changed = [
            f"{field.name} {getattr(self, field.name)}"
            for field in fields(self)
            if field.name != "source" and getattr(self, field.name) != field.default
        ]
        return f"{self.source} ({', '.join(changed)})" if changed else self.source


@dataclass(frozen=True)
class Extraction:
    """Lengths, in tokens, of discoverable extraction: greedy decoding from the prefix must reproduce the suffix.

    Args:
        prefix_tokens: given to the model.
        suffix_tokens: expected from it.
        window_tokens: most that is kept of an example, and what perplexity is taken over.

    Raises:
        SpecError: a length is no positive whole number, or the window is shorter than prefix and suffix together.
    """

    prefix_tokens: int = 50
    suffix_tokens: int = 50
    window_tokens: int = 256

    def __post_init__(self) -> None:
        for field in fields(self):
            require(field.name.replace("_", "-"), getattr(self, field.name), whole_number(1))
        if self.window_tokens < self.scored_tokens:
            raise SpecError(
                f"window-tokens must hold prefix and suffix ({self.prefix_tokens} + {self.suffix_tokens} ="
                f" {self.scored_tokens}); found {self.window_tokens}."
            )

    @property
    def scored_tokens(self) -> int:
        """Tokens an example needs to be scored at all."""
        return self.prefix_tokens + self.suffix_tokens

    @property
    def digest(self) -> str:
        return digest_of(asdict(self))


@dataclass(frozen=True)
class Thresholds:
    """What a release must meet; the defaults are those of the README's example.

    Raises:
        SpecError: a rate or ratio lies outside 0…1, or the reduction is negative.
    """

    max_memorization_rate: float = 0.001
    max_inheritance_ratio: float = 0.02
    min_reduction: float = 2.0
    max_predicted_risk: float = 0.005

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            limits = number(least=0, most=1) if field.name.startswith("max") else number(least=0)
            require(field.name.replace("_", "-"), value, limits)
            object.__setattr__(self, field.name, float(value))
