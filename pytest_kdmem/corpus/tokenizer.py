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
)
from pytest_kdmem.corpus.read_tokenizer import ReadTokenizer
from pytest_kdmem.corpus.readings import Reading, Vocabulary
from pytest_kdmem.corpus.special_tokens import special_tokens_by_card
from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.checkpoint import Checkpoint
from pytest_kdmem.specs.declared import Model, TrainingSet
from pytest_kdmem.specs.reading_kinds import Reading as DeclaredReading
from pytest_kdmem.specs.tokenizer_files import has_tokenizer


class Tokenizer(Vocabulary, Protocol):
    """Converts text to token ids exactly as training did, and back.

    Attributes:
        adds: The special tokens that it adds around a text by itself, in words; "" if it adds none.
        promises: Settings by which it would add special tokens that it does not add; "" if there are none.
        is_one_pipeline: Whether the folder's own files and transformers turn text into token ids by the same steps.
        identity: Digest of all that decides what it makes of a text, which is that of every tokenizer that makes the
            same; None if it does more than its steps tell.
        had_special_tokens: Whether training had these, by the model's run card; None if that is not known.
    """

    had_special_tokens: bool | None

    @property
    def adds(self) -> str: ...
    @property
    def promises(self) -> str: ...
    @property
    def is_one_pipeline(self) -> bool: ...
    @property
    def identity(self) -> str | None: ...

    def encode(self, texts: list[str], *, add_special_tokens: bool, needed: int | None = None) -> list[list[int]]:
        """Token ids of each text.

        Args:
            texts: The texts.
            add_special_tokens: Whether special tokens are added around each.
            needed: Number of tokens that are used of each text; None if all are.

        Raises:
            ReadingsDiffer: Two readings of the tokenizer give a text different token ids.
        """

    def hold_to(self, other: Any) -> None:
        """Refuse a text of which another tokenizer of this kind makes other token ids."""

    def decode(self, ids: TokenIds) -> str: ...

    def candidates(self, text: str) -> list[list[int]]:
        """Token ids of a text without special tokens, by each reading that training can have used."""

    def chat_template(self, file: str | None) -> ChatTemplate:
        """The template that conversations are rendered by.

        Args:
            file: File with another template than the tokenizer's own, or None.

        Raises:
            SpecError: There is no template.
        """


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
