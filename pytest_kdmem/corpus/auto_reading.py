"""What the class that transformers makes of a folder makes of text.

transformers replaces parts of tokenizer.json by those of the class that the folder names, so the two can differ.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, Self

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.tokenizer_content import canonical_pipeline

# Modules of transformers with the classes from which those of single models descend.
GENERIC_MODULES = ("transformers.tokenization_utils", "transformers.utils", "builtins")
# Methods by which a class can do more to a text than run its tokenizer.
TEXT_METHODS = ("__call__", "_encode_plus", "_batch_encode_plus", "_call_one", "prepare_for_tokenization")


class AutoReading:
    """A tokenizer of transformers.

    Args:
        inner: The tokenizer, as `AutoTokenizer` makes it of a folder, or as a training holds it in memory.
    """

    knows_special_tokens = True

    def __init__(self, inner: Any) -> None:
        import transformers

        self._inner = inner
        self.name = f"AutoTokenizer ({type(self._inner).__name__} of transformers {transformers.__version__})"
        self.eos_id: int | None = self._inner.eos_token_id
        self.eos_token: str | None = inner.eos_token
        self.size = len(self._inner)

    @classmethod
    def load(cls, folder: Path, *, trust_remote_code: bool) -> Self:
        """The class that `AutoTokenizer` makes of a folder.

        Raises:
            SpecError: It cannot be loaded.
        """
        import transformers

        try:
            inner = transformers.AutoTokenizer.from_pretrained(
                str(folder), trust_remote_code=trust_remote_code, local_files_only=True
            )
        except Exception as error:  # tokenizers raise bare Exception
            raise SpecError(f"A tokenizer was expected in {folder} and could not be loaded ({error}).") from error
        return cls(inner)

    @property
    def inner(self) -> Any:
        """The tokenizer of transformers."""
        return self._inner

    @cached_property
    def special_ids(self) -> frozenset[int]:
        inner = self._inner
        special = {token_id for token_id, token in inner.added_tokens_decoder.items() if token.special}
        special.discard(inner.unk_token_id)  # it stands in text
        roles = (inner.eos_token_id, inner.bos_token_id, inner.pad_token_id)
        return frozenset(special) | {token_id for token_id in roles if token_id is not None}

    @cached_property
    def pipeline(self) -> dict[str, Any] | None:
        """All that decides which token ids a text becomes; None if the class does more to a text than run this."""
        backend = getattr(self._inner, "backend_tokenizer", None)
        own = [kind for kind in type(self._inner).__mro__ if not kind.__module__.startswith(GENERIC_MODULES)]
        if backend is None or any(name in vars(kind) for kind in own for name in TEXT_METHODS):
            return None
        return canonical_pipeline(backend.to_str())

    def encode(self, texts: list[str], *, add_special_tokens: bool) -> list[list[int]]:
        # Without `verbose=False` it warns of texts longer than the model, of which only the first window is used.
        encoding = self._inner(
            texts, add_special_tokens=add_special_tokens, truncation=False, padding=False, verbose=False
        )
        return list(encoding["input_ids"])

    def decode(self, ids: TokenIds) -> str:
        text = self._inner.decode(ids.tolist(), skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return str(text)

    def token(self, token_id: int) -> str:
        return str(self._inner.convert_ids_to_tokens(token_id))
