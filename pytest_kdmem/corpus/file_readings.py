"""What the files of a folder by themselves make of text: its tokenizer.json, or its SentencePiece model."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.layout import read_model_json
from pytest_kdmem.specs.tokenizer_content import canonical_pipeline

TOKENIZER_JSON = "tokenizer.json"
SENTENCEPIECE_MODELS = ("tokenizer.model", "spiece.model")
SETTINGS = ("tokenizer_config.json", "special_tokens_map.json")
SPECIAL_TOKEN_FLAGS = ("add_bos_token", "add_eos_token")


class FileReading:
    """The tokenizer.json of a folder by itself, as the `tokenizers` library reads it.

    Raises:
        SpecError: The file is damaged.
    """

    knows_special_tokens = True

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        self.name = TOKENIZER_JSON
        self._settings = tokenizer_settings(folder)
        try:
            self._inner = Tokenizer.from_file(str(folder / TOKENIZER_JSON))
        except Exception as error:  # the library raises bare Exception
            raise SpecError(f"A tokenizer was expected in {folder} and could not be loaded ({error}).") from error
        # The state of the last call before it was saved; training called it anew.
        self._inner.no_truncation()
        self._inner.no_padding()

    @property
    def eos_id(self) -> int | None:
        return self._id_of("eos_token")

    @property
    def eos_token(self) -> str | None:
        return _content(self._settings.get("eos_token"))

    @cached_property
    def size(self) -> int:
        # Tokens that the settings add are trained on where `AutoTokenizer` is the one that runs.
        decoder = self._settings.get("added_tokens_decoder")
        names = map(str, decoder if isinstance(decoder, dict) else ())
        added = [int(name) + 1 for name in names if name.isascii() and name.isdigit()]
        return max(self._inner.get_vocab_size(with_added_tokens=True), *added, 0)

    @cached_property
    def special_ids(self) -> frozenset[int]:
        special = {token_id for token_id, token in self._inner.get_added_tokens_decoder().items() if token.special}
        unknown = getattr(self._inner.model, "unk_token", None)
        if unknown is not None:  # it stands in text
            special.discard(self._inner.token_to_id(unknown))
        return frozenset(special) | {
            token_id for token_id in (self.eos_id, self._id_of("pad_token")) if token_id is not None
        }

    @cached_property
    def pipeline(self) -> dict[str, Any]:
        """All that decides which token ids a text becomes."""
        return canonical_pipeline(self._inner.to_str())

    def encode(self, texts: list[str], *, add_special_tokens: bool) -> list[list[int]]:
        encodings = self._inner.encode_batch_fast(texts, add_special_tokens=add_special_tokens)
        return [encoding.ids for encoding in encodings]

    def decode(self, ids: TokenIds) -> str:
        return self._inner.decode(ids.tolist(), skip_special_tokens=False)

    def token(self, token_id: int) -> str:
        return self._inner.id_to_token(token_id) or str(token_id)

    def _id_of(self, role: str) -> int | None:
        token = _content(self._settings.get(role))
        return None if token is None else self._inner.token_to_id(token)


class SentencePieceReading:
    """The SentencePiece model of a folder without tokenizer.json, as the `sentencepiece` library reads it.

    Raises:
        SpecError: The library is not installed, or the file is damaged.
    """

    def __init__(self, folder: Path) -> None:
        path = next(folder / name for name in SENTENCEPIECE_MODELS if (folder / name).is_file())
        try:
            from sentencepiece import SentencePieceProcessor
        except ImportError:
            raise SpecError(
                f"The package sentencepiece was expected, to hold the tokenizer that transformers makes of {path}"
                ' against the file; install it, or declare tokenizer="auto" (--kdmem-tokenizer) if training used that'
                " tokenizer of transformers."
            ) from None
        self.name = path.name
        self._folder = folder
        self._settings = tokenizer_settings(folder)
        try:
            self._inner: Any = SentencePieceProcessor(model_file=str(path))
        except Exception as error:  # the library raises errors of many kinds
            raise SpecError(f"A SentencePiece model was expected in {path}, which is none.") from error

    @property
    def eos_id(self) -> int | None:
        eos: int = self._inner.eos_id()
        return eos if eos >= 0 else None

    @property
    def eos_token(self) -> str | None:
        return None if self.eos_id is None else self.token(self.eos_id)

    @property
    def size(self) -> int:
        pieces: int = self._inner.get_piece_size()
        return pieces

    @cached_property
    def special_ids(self) -> frozenset[int]:
        return frozenset(token_id for token_id in range(self.size) if self._inner.is_control(token_id))

    @property
    def knows_special_tokens(self) -> bool:
        # A SentencePiece model does not say which special tokens are added.
        return all(isinstance(self._settings.get(key), bool) for key in SPECIAL_TOKEN_FLAGS)

    def encode(self, texts: list[str], *, add_special_tokens: bool) -> list[list[int]]:
        before, after = self._around() if add_special_tokens else ([], [])
        return [[*before, *ids, *after] for ids in self._inner.encode(texts)]

    def decode(self, ids: TokenIds) -> str:
        return str(self._inner.decode(ids.tolist()))

    def token(self, token_id: int) -> str:
        return str(self._inner.id_to_piece(token_id)) if token_id < self.size else str(token_id)

    def _around(self) -> tuple[list[int], list[int]]:
        """The special tokens before and after a text, which only the settings name."""
        if not self.knows_special_tokens:
            raise SpecError(
                f"{' and '.join(SPECIAL_TOKEN_FLAGS)} were expected in the tokenizer_config.json of {self._folder}, as"
                " a SentencePiece model does not say which special tokens it adds; set both there, or declare"
                ' tokenizer="auto" (--kdmem-tokenizer).'
            )
        ids = (self._inner.bos_id(), self._inner.eos_id())
        before, after = (
            [token_id] if self._settings[key] else [] for key, token_id in zip(SPECIAL_TOKEN_FLAGS, ids, strict=True)
        )
        return before, after


def tokenizer_settings(folder: Path) -> dict[str, Any]:
    """The settings beside a tokenizer; those of tokenizer_config.json go before those of special_tokens_map.json."""
    settings: dict[str, Any] = {}
    for name in reversed(SETTINGS):
        if (folder / name).is_file():
            settings |= read_model_json(folder / name, "tokenizer settings")
    return settings


def _content(token: Any) -> str | None:
    """The text of a token of the settings, which is a word or an object with its flags."""
    content = token.get("content") if isinstance(token, dict) else token
    return content if isinstance(content, str) else None
