"""Finds names of persons and addresses, which have no form, by a token classification model that the user names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pytest_kdmem.base.digests import digest_of, file_digest
from pytest_kdmem.base.versions import installed_version
from pytest_kdmem.errors import SpecError
from pytest_kdmem.secrets.patterns import Span
from pytest_kdmem.specs.declared import Model
from pytest_kdmem.specs.locations import locate

# Labels of public models, without B-, I- and the like, in small letters and without signs.
LABELS = {
    "name": re.compile("(per|person|privateperson|name|(first|last|middle|given|full|sur)name)[0-9]*"),
    "address": re.compile("(address|privateaddress|street(address|name)?|buildingnum(ber)?|zip(code)?|postcode)[0-9]*"),
}
FILES = ("*.safetensors", "*.json", "*.model", "*.txt")
LONGEST = 512


@dataclass(frozen=True)
class EntityModel:
    """A token classification model, which is loaded when text is first searched.

    Args:
        source: Folder or hub id.
        offline: Never open a network connection.
    """

    source: str
    offline: bool = False
    _loaded: list[Any] = field(default_factory=list, compare=False, repr=False)

    @cached_property
    def folder(self) -> Path:
        """Folder of its files.

        Raises:
            SpecError: There is none.
        """
        return locate(Model(self.source), offline=self.offline)

    @cached_property
    def identity(self) -> str:
        """Digest of its files, and of the version of the library that runs it."""
        files = sorted(path for pattern in FILES for path in self.folder.glob(pattern))
        return digest_of([installed_version("transformers"), *((path.name, file_digest(path)) for path in files)])

    @cached_property
    def class_of_label(self) -> dict[int, str]:
        """The class of secrets that each of its labels stands for, of those that stand for one.

        Raises:
            SpecError: It has no labels, or none of a name or an address.
        """
        try:
            labels = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))["id2label"]
            numbered = {int(number): str(label) for number, label in labels.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            numbered = {}
        classes = {number: name for number, label in numbered.items() if (name := _class_of(label))}
        if not classes:
            raise SpecError(
                f"A token classification model with labels of names or addresses was expected as ner-model at"
                f" {self.source}, and it has none; name another with --kdmem-ner-model."
            )
        return classes

    def find(self, text: str) -> Iterator[tuple[str, Span]]:
        """Yield the class and the place of each token of a name or an address.

        Raises:
            SpecError: The model or its tokenizer cannot be loaded.
        """
        import torch

        tokenizer, model = self._load()
        positions = getattr(model.config, "max_position_embeddings", None) or LONGEST
        longest = min(positions - 2, LONGEST)  # some architectures count two positions that hold no token
        pieces = tokenizer(
            text,
            truncation=True,
            max_length=longest,
            stride=longest // 4,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        for ids, offsets in zip(pieces["input_ids"], pieces["offset_mapping"], strict=True):
            with torch.inference_mode():
                labels = model(input_ids=torch.tensor([ids])).logits[0].argmax(-1).tolist()
            for label, (start, end) in zip(labels, offsets, strict=True):
                if end > start and label in self.class_of_label:
                    yield self.class_of_label[label], (start, end)

    def _load(self) -> tuple[Any, Any]:
        if not self._loaded:
            from transformers import AutoModelForTokenClassification, AutoTokenizer

            try:
                tokenizer = AutoTokenizer.from_pretrained(self.folder, trust_remote_code=False)
                model = AutoModelForTokenClassification.from_pretrained(
                    self.folder, trust_remote_code=False, use_safetensors=True
                )
            except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
                raise SpecError(
                    f"A token classification model with a tokenizer was expected as ner-model at {self.source}, and it"
                    f" cannot be loaded ({type(error).__name__}); name another with --kdmem-ner-model."
                ) from error
            if not tokenizer.is_fast:
                raise SpecError(
                    f"A tokenizer.json was expected beside ner-model {self.source}, which tells where in a text a token"
                    " stands; name another model with --kdmem-ner-model."
                )
            self._loaded.extend((tokenizer, model.eval()))
        return self._loaded[0], self._loaded[1]


def _class_of(label: str) -> str:
    """The class of secrets that a label stands for, or an empty string."""
    bare = re.sub(r"[^a-z0-9]", "", re.sub(r"^[BIESLU]-", "", label).lower())
    return next((name for name, pattern in LABELS.items() if pattern.fullmatch(bare)), "")
