"""Declarations of models, training sets, lengths and thresholds: frozen values that open and load nothing."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, fields, replace
from typing import Literal, get_args

from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.base.text import last_part
from pytest_kdmem.errors import SpecError
from pytest_kdmem.errors.harmless import named
from pytest_kdmem.specs.checks import choice, limit_of_share, number, plain, require, source, whole_number
from pytest_kdmem.specs.reading_kinds import (
    READ_BY_TRAINING,
    READING_CHECKS,
    ChatRoles,
    Documents,
    EndOfDocument,
    Form,
    Reading,
    Stratify,
    TokenDType,
)

DType = Literal["auto", "float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class Model:
    """A causal language model: a folder with safetensors weights, or a hub id.

    Args:
        source: Folder or hub id of a model, or of an adapter of PEFT, which is merged into its base; or a GGUF file.
        revision: Branch, tag or commit on the hub.
        dtype: Precision of the computation; ``auto`` is float32, after a screening where that is faster.
        trust_remote_code: Run modelling code that comes with the checkpoint.
        base: Folder or hub id of an adapter's base, if it is not the one that the adapter names.

    Raises:
        SpecError: An argument is of the wrong kind.
    """

    source: str
    revision: str | None = None
    dtype: DType = "auto"
    trust_remote_code: bool = False
    base: str | None = None

    def __post_init__(self) -> None:
        require("a model's source", self.source, source)
        object.__setattr__(self, "source", os.fspath(self.source))
        if self.base is not None:
            require(f"base of model {named(self.source)}", self.base, source)
            object.__setattr__(self, "base", os.fspath(self.base))
        require(f"dtype of model {named(self.source)}", self.dtype, choice(*get_args(DType)))

    @property
    def name(self) -> str:
        """Last part of the source; reports use it for a model without a role."""
        return last_part(self.source)


@dataclass(frozen=True)
class TrainingSet:
    """Text or token ids that models were trained on.

    A preset is a data set of the study with its filter and its parts. ``TrainingSet("fineweb")`` is the first
    1 000 000 documents of at least 256 tokens, and so is ``TrainingSet("nemotron-cc-v2")``; ``"fineweb:held-out"`` is
    the next 10 000. ``TrainingSet("wikitext-103")`` is every article of at least 256 tokens, and
    ``"wikitext-103:held-out"`` those of the split ``validation``. The two parts share no row of the source if they are
    read with the same tokenizer, ``config``, ``revision`` and ``add_special_tokens``, on which lengths depend; a text
    that stands in several rows can be in both. To read all of a preset's source, name its hub id. A file or folder
    with a preset's name is read instead of the preset.

    The id of an example is its position in the audited training set, from 0: documents that are too short, or in
    another part, do not count, so it can differ from the line or row number in the source. Ids are comparable only
    between sets with the same ``minimum_tokens``, tokenizer and part; digests of examples are comparable within one
    tokenizer and window.

    Args:
        source: A file (.jsonl(.gz|.zst), .txt, .parquet, .arrow, .npy ``[examples, tokens]``, .bin), a folder saved by
            ``datasets``, a hub id, the name of a preset (``fineweb``, ``wikitext-103``, ``nemotron-cc-v2``) or of its
            held-out part (``fineweb:held-out``). A .bin file is Megatron's if its .idx file lies beside it, and each
            of its sequences is a document; without one it is a flat stream of token ids. A folder of .bin files is
            read as one file. For .jsonl(.gz|.zst), .txt and .parquet also an address (``s3://``, ``gs://``,
            ``abfss://``, ``hdfs://``, ``file://``) of a file, of a folder with all below it, or of files by a pattern
            such as ``s3://bucket/train/part-*.parquet``, read in the order of their paths; for .bin of files alone.
        text_column: Name of the column that holds the text; a column ``input_ids`` is read as token ids instead.
        split: Split of a hub data set or of a saved ``DatasetDict``; another split than ``train`` of a preset is read
            whole.
        config: Configuration of a hub data set.
        revision: Branch, tag or commit on the hub.
        form: How training cut text into examples: ``documents`` (the first window of each document) or ``blocks``
            (documents joined, by EOS unless ``eos`` says otherwise, then cut into windows).
        add_special_tokens: Whether training had the special tokens, such as BOS, that the tokenizer adds by itself.
            None leaves it undeclared, which is refused if the tokenizer adds any and no run card tells.
        sample: Number of distinct examples to draw at random; None for all examples.
        seed: Seed of the random sample.
        documents: What a document is: a line or row (``lines``) or an article of WikiText (``articles``), joined from
            its heading `` = Title = `` and the lines after it. The preset ``wikitext-103`` is read as articles.
        minimum_tokens: Documents with fewer tokens are left out before blocks are joined, and counted; it must be the
            length that training used. 0 leaves out none; a preset has its own.
        tokenizer: What turned text into token ids in training: ``file`` (the tokenizer.json of the model's folder by
            itself, or its SentencePiece model) or ``auto`` (the class that ``AutoTokenizer`` makes of the folder, which
            may replace parts of the file). None holds the two together and refuses text on which they differ.
        eos: Where documents that are joined into blocks had an EOS behind them: ``always``, ``once`` (unless the
            document ends in it) or ``never`` (nothing but what text and tokenizer have, as run_clm joins them). None is
            ``always``, and refuses documents that end in EOS already.
        dtype: Type of the token ids in a flat .bin file, which says nothing of itself: ``uint16`` or ``uint32``.
        eos_id: Token id that ends each document of a flat .bin file. With form ``blocks`` none is declared, and the
            stream is cut into windows where it stands.
        order: File with the order of a Megatron training's samples, ``…_shuffle_idx.npy`` or ``…-shuffle_index.npy``.
            The two files beside it name the documents of each sample, and every sample is an example.
        chat_columns: Columns of conversations: ``messages=COLUMN``, ``prompt=COLUMN,completion=COLUMN``, or texts by
            role, ``user=instruction+input,assistant=output``; ``none`` reads rows as text. None finds the columns
            ``messages``, ``conversations``, or ``prompt`` and ``completion`` by themselves.
        chat_turns: Number of assistant turns at the end of a conversation that training took the loss of, each of which
            is an example; None is all of them.
        chat_roles: Whose turns training took the loss of, each of which is an example: those of the ``assistant``, or
            ``all``, of users, systems and tools as well. None is the assistant's.
        answer_tokens: Number of first tokens of a turn that must be reproduced; None is the suffix.
        chat_template: File with the chat template that training used; None is that of the model's tokenizer.
        group_column: Column that names the group of each row, such as its licence; None without groups.
        stratify: Strata of which a sample draws some examples at least: each ``group``, or each tier of ``copies``.
            None leaves it to chance which of them a sample holds.
        stratum_sample: Number of distinct examples to draw of each stratum at least, or all of a smaller one; None is
            300.

    Raises:
        SpecError: An argument is of the wrong kind, or groups are to be strata and no column names them.
    """

    source: str
    text_column: str = "text"
    split: str = "train"
    config: str | None = None
    revision: str | None = None
    form: Form = "documents"
    add_special_tokens: bool | None = None
    sample: int | None = None
    seed: int = 0
    documents: Documents = "lines"
    minimum_tokens: int = 0
    tokenizer: Reading | None = None
    eos: EndOfDocument | None = None
    dtype: TokenDType | None = None
    eos_id: int | None = None
    order: str | None = None
    chat_columns: str | None = None
    chat_turns: int | None = None
    chat_roles: ChatRoles | None = None
    answer_tokens: int | None = None
    chat_template: str | None = None
    group_column: str | None = None
    stratify: Stratify | None = None
    stratum_sample: int | None = None

    def __post_init__(self) -> None:
        require("a training set's source", self.source, source)
        object.__setattr__(self, "source", os.fspath(self.source))
        for name, check in READING_CHECKS.items():
            require(f"{name} of training set {named(self.source)}", getattr(self, name), check)
        for name in ("order", "chat_template"):
            if (path := getattr(self, name)) is not None:
                object.__setattr__(self, name, os.fspath(path))
        if self.stratify == "group" and self.group_column is None:
            raise SpecError(
                f'A column of groups was expected of training set {named(self.source)} with stratify="group"'
                " (--kdmem-stratify), and none is named: declare group_column (--kdmem-group-column), or stratify by"
                " copies."
            )

    @property
    def name(self) -> str:
        """Last part of the source, without endings."""
        return last_part(self.source).split(".")[0]

    def lengths(self, extraction: Extraction) -> Extraction:
        """The lengths of an audit, with the suffix that this training set declares for answers."""
        return extraction if self.answer_tokens is None else replace(extraction, suffix_tokens=self.answer_tokens)

    @property
    def reading(self) -> dict[str, str | int | float | bool | None]:
        """The settings by which training reads it that are not the default, by name, as run cards hold them."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        defaults = {field.name: field.default for field in fields(self)}
        return {name: values[name] for name in READ_BY_TRAINING if values[name] != defaults[name]}

    @property
    def declared_reading(self) -> dict[str, str | int | bool]:
        """All settings by which an audit reads the whole set that are not the default, by name."""
        sampling = ("source", "sample", "seed", "stratify", "stratum_sample", "group_column")
        declared = {field.name: (getattr(self, field.name), field.default) for field in fields(self)}
        return {name: value for name, (value, default) in declared.items() if name not in sampling and value != default}

    @property
    def label(self) -> str:
        """The source and all settings that are not the default, which tell apart sets of one source."""
        changed = [
            f"{field.name} {getattr(self, field.name)}"
            for field in fields(self)
            if field.name != "source" and getattr(self, field.name) != field.default
        ]
        return f"{self.source} ({', '.join(changed)})" if changed else self.source


# What a model recites of a shorter continuation, or after a shorter beginning, says little: it may be mere language.
FEWEST_TELLING_TOKENS = 20


@dataclass(frozen=True)
class Extraction:
    """Lengths, in tokens, of discoverable extraction: greedy decoding from the prefix must reproduce the suffix.

    Args:
        prefix_tokens: Tokens that the model is given.
        suffix_tokens: Tokens after them that the model must reproduce.
        window_tokens: Tokens after which an example is cut off; perplexity is taken over the window.

    Raises:
        SpecError: A length is no positive whole number, or the window is shorter than prefix and suffix together.
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
        """Tokens that an example needs to be scored."""
        return self.prefix_tokens + self.suffix_tokens

    @property
    def digest(self) -> str:
        """Digest of the three lengths."""
        return digest_of(asdict(self))


@dataclass(frozen=True)
class Thresholds:
    """Thresholds that a student must meet to be released.

    Args:
        max_memorization_rate: Highest memorization rate, at least 0 and below 1.
        max_inheritance_ratio: Highest inheritance ratio, at least 0 and below 1.
        min_reduction: Lowest ratio of the baseline's memorization rate to the student's, above 0.
        max_predicted_risk: Highest share of examples at risk, at least 0 and below 1.

    Raises:
        SpecError: A threshold is no number, or outside its range.
    """

    max_memorization_rate: float = 0.001
    max_inheritance_ratio: float = 0.02
    min_reduction: float = 2.0
    max_predicted_risk: float = 0.005

    def __post_init__(self) -> None:
        for field in fields(self):
            value = plain(getattr(self, field.name))
            limits = limit_of_share if field.name.startswith("max") else number(above=0)
            require(field.name.replace("_", "-"), value, limits)
            object.__setattr__(self, field.name, value)
