"""Opens the tokenizer of a model as training read it, and holds its readings together where that is not declared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.corpus.auto_reading import AutoReading
from pytest_kdmem.corpus.chat_template import ChatTemplate
from pytest_kdmem.corpus.file_readings import (
    SENTENCEPIECE_MODELS,
    TOKENIZER_JSON,
    FileReading,
    SentencePieceReading,
    tokenizer_settings,
)
from pytest_kdmem.corpus.readings import BEFORE, BEHIND, Reading, added_tokens
from pytest_kdmem.corpus.special_tokens import special_tokens_by_card
from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.checkpoint import Checkpoint
from pytest_kdmem.specs.declared import Model, TrainingSet
from pytest_kdmem.specs.declared import Reading as DeclaredReading
from pytest_kdmem.specs.tokenizer_files import has_tokenizer

# Where the special token stands that a setting of a tokenizer promises.
PROMISES = {"add_bos_token": BEFORE, "add_eos_token": BEHIND}


class Tokenizer(Protocol):
    """Converts text to token ids exactly as training did, and back.

    Attributes:
        eos_id: Token id of end-of-sequence; None if the tokenizer has none.
        eos_token: Its text.
        size: Number of tokens in the vocabulary, added tokens included.
        special_ids: Token ids of special tokens that stand in no text, such as BOS, EOS and padding.
        adds: The special tokens that it adds around a text by itself, in words; "" if it adds none.
        promises: Settings by which it would add special tokens that it does not add; "" if there are none.
        is_one_pipeline: Whether the folder's own files and transformers turn text into token ids by the same steps.
        had_special_tokens: Whether training had these, by the model's run card; None if that is not known.
    """

    had_special_tokens: bool | None

    @property
    def eos_id(self) -> int | None: ...
    @property
    def eos_token(self) -> str | None: ...
    @property
    def size(self) -> int: ...
    @property
    def special_ids(self) -> frozenset[int]: ...
    @property
    def adds(self) -> str: ...
    @property
    def promises(self) -> str: ...
    @property
    def is_one_pipeline(self) -> bool: ...

    def encode(self, texts: list[str], *, add_special_tokens: bool, needed: int | None = None) -> list[list[int]]:
        """Token ids of each text.

        Args:
            texts: The texts.
            add_special_tokens: Whether special tokens are added around each.
            needed: Number of tokens that are used of each text; None if all are.

        Raises:
            ReadingsDiffer: Two readings of the tokenizer give a text different token ids.
        """

    def decode(self, ids: TokenIds) -> str: ...

    def candidates(self, text: str) -> list[list[int]]:
        """Token ids of a text without special tokens, by each reading that training can have used."""

    def chat_template(self, file: str | None, turns: int | None) -> ChatTemplate:
        """The template that conversations are rendered by.

        Args:
            file: File with another template than the tokenizer's own, or None.
            turns: Number of the assistant's last turns that were learned; None if all were.

        Raises:
            SpecError: There is no template.
        """


class ReadingsDiffer(Exception):
    """Two readings of a tokenizer give a text different token ids.

    Attributes:
        index: Which of the texts it is, from 0.
        difference: What differs, in words.
    """

    def __init__(self, index: int, difference: str) -> None:
        super().__init__(difference)
        self.index = index
        self.difference = difference


class ReadTokenizer:
    """A tokenizer in one reading, or in several that must agree.

    Args:
        readings: The readings; the token ids of the first are given.
        folder: The folder of the tokenizer.
        trust_remote_code: Run tokenizer code that comes with the checkpoint.
    """

    had_special_tokens: bool | None = None

    def __init__(self, *readings: Reading, folder: Path, trust_remote_code: bool = False) -> None:
        self._readings, self._folder, self._trusts_code = readings, folder, trust_remote_code
        settings = tokenizer_settings(folder)
        # Of transformers, if it is there: it knows the special tokens that only settings name.
        self.eos_id, self.eos_token = readings[-1].eos_id, readings[-1].eos_token
        self.size = max(reading.size for reading in readings)
        self.special_ids: frozenset[int] = frozenset().union(*(reading.special_ids for reading in readings))
        # That of transformers first: a SentencePiece model alone can only say that it does not know.
        self.adds = next((added for reading in reversed(readings) if (added := added_tokens(reading))), "")
        unkept = [flag for flag, where in PROMISES.items() if settings.get(flag) is True and where not in self.adds]
        self.promises = ", ".join(unkept)
        pipelines = [getattr(reading, "pipeline", None) for reading in readings]
        is_known = pipelines[0] is not None and len(pipelines) > 1
        self.is_one_pipeline = is_known and pipelines.count(pipelines[0]) == len(pipelines)
        self._agreed: set[bool] = set()

    def encode(self, texts: list[str], *, add_special_tokens: bool, needed: int | None = None) -> list[list[int]]:
        first, *others = self._readings
        if others and add_special_tokens and not first.knows_special_tokens:
            self.encode(texts, add_special_tokens=False, needed=needed)
            return others[0].encode(texts, add_special_tokens=True)
        ids = first.encode(texts, add_special_tokens=add_special_tokens)
        if texts and add_special_tokens not in self._agreed:
            for other in others:
                other_ids = other.encode(texts, add_special_tokens=add_special_tokens)
                _hold_together(first, ids, other, other_ids, needed)
            if self.is_one_pipeline:  # one batch shows that nothing happens around the pipeline
                self._agreed.add(add_special_tokens)
        return ids

    def decode(self, ids: TokenIds) -> str:
        return self._readings[0].decode(ids)

    def candidates(self, text: str) -> list[list[int]]:
        return [reading.encode([text], add_special_tokens=False)[0] for reading in self._readings]

    def chat_template(self, file: str | None, turns: int | None) -> ChatTemplate:
        auto = next((reading for reading in self._readings if isinstance(reading, AutoReading)), None)
        if auto is None:  # only the file was declared, and transformers alone renders templates
            auto = AutoReading.load(self._folder, trust_remote_code=self._trusts_code)
        return ChatTemplate(auto.inner, self._folder, file=file, turns=turns)


def _hold_together(
    first: Reading, ids: list[list[int]], other: Reading, other_ids: list[list[int]], needed: int | None
) -> None:
    for index, (expected, actual) in enumerate(zip(ids, other_ids, strict=True)):
        if expected[:needed] != actual[:needed]:
            pairs = zip(expected, actual, strict=False)
            at = next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(expected), len(actual)))
            raise ReadingsDiffer(
                index,
                f"{len(expected)} tokens by {first.name} and {len(actual)} by {other.name}, which differ from token"
                f" {at + 1} on",
            )


def open_tokenizer(model: Model, checkpoint: Checkpoint, training_set: TrainingSet) -> Tokenizer | None:
    """Load the tokenizer of a model, from its files, as the model's training read this training set.

    Raises:
        SpecError: The tokenizer cannot be loaded in this reading.
    """
    declared = training_set.tokenizer
    tokenizer = load_tokenizer(checkpoint.text_folder, declared, trust_remote_code=model.trust_remote_code)
    if tokenizer is not None and tokenizer.adds and training_set.add_special_tokens is None:
        tokenizer.had_special_tokens = special_tokens_by_card(checkpoint, training_set)
    return tokenizer


def load_tokenizer(
    folder: Path, declared: DeclaredReading | None = None, *, trust_remote_code: bool = False
) -> Tokenizer | None:
    """Load the tokenizer of a model folder; None if the folder has none.

    Args:
        folder: The model folder.
        declared: The reading that training used; None holds the file against transformers.
        trust_remote_code: Run tokenizer code that comes with the checkpoint.

    Raises:
        SpecError: The tokenizer cannot be loaded in this reading.
    """
    if not has_tokenizer(folder):
        return None
    readings: list[Reading] = []
    if declared != "auto" and (file := _read_file(folder)) is not None:
        readings.append(file)
    if declared == "file":
        if not readings:
            raise SpecError(
                f"A {TOKENIZER_JSON} or a SentencePiece model was expected in {folder}, as its own tokenizer is"
                ' declared; found neither: declare tokenizer="auto" (--kdmem-tokenizer).'
            )
        return ReadTokenizer(*readings, folder=folder, trust_remote_code=trust_remote_code)
    try:
        readings.append(AutoReading.load(folder, trust_remote_code=trust_remote_code))
    except SpecError as error:
        if readings:
            raise SpecError(
                f'{str(error).rstrip(".")}; if training read {readings[0].name} by itself, declare tokenizer="file"'
                " (--kdmem-tokenizer)."
            ) from error
        raise
    return ReadTokenizer(*readings, folder=folder, trust_remote_code=trust_remote_code)


def tokenizer_in_memory(inner: Any, declared: DeclaredReading | None = None) -> Tokenizer:
    """The tokenizer that a training holds in memory, as that training reads text.

    Args:
        inner: The tokenizer of transformers.
        declared: The reading that training used; None for that of ``inner`` itself.

    Raises:
        SpecError: The tokenizer has no file of its own although that is the declared reading.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        inner.save_pretrained(folder)
        if declared == "file" and (tokenizer := load_tokenizer(folder, declared)) is not None:
            return tokenizer
        return ReadTokenizer(AutoReading(inner), folder=folder)


def load_decoder(folder: Path, *, trust_remote_code: bool = False) -> Tokenizer | None:
    """Load the tokenizer of a model folder to turn token ids into text only; None if the folder has none.

    Raises:
        SpecError: The tokenizer cannot be loaded.
    """
    declared: DeclaredReading = "file" if (folder / TOKENIZER_JSON).is_file() else "auto"
    return load_tokenizer(folder, declared, trust_remote_code=trust_remote_code)


def _read_file(folder: Path) -> Reading | None:
    if (folder / TOKENIZER_JSON).is_file():
        return FileReading(folder)
    return SentencePieceReading(folder) if _any_file(folder, SENTENCEPIECE_MODELS) else None


def _any_file(folder: Path, names: Sequence[str]) -> bool:
    return any((folder / name).is_file() for name in names)
