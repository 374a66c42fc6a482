"""The manifest of canaries: which strings were registered before training, and how often each is put in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.base.files import json_lines, write_text
from pytest_kdmem.base.typed_json import from_json, to_json
from pytest_kdmem.base.versioned_file import VersionedFile


@dataclass(frozen=True)
class Canary:
    """A random string.

    Attributes:
        ids: Token ids of the whole string, prefix first.
        prefix: Text of the prefix.
        suffix: Text of what follows, the secret.
        copies: Number of copies that are put into the training set; 0 of a twin, which is left out.
    """

    ids: tuple[int, ...]
    prefix: str
    suffix: str
    copies: int

    @property
    def text(self) -> str:
        """The whole string."""
        return f"{self.prefix} {self.suffix}"


@dataclass(frozen=True)
class Manifest:
    """All canaries of one training set, and how they were drawn.

    Attributes:
        tokenizer: Digest of the vocabulary that they are made of.
        prefix_tokens, suffix_tokens: Lengths of prefix and suffix.
        seed: Seed by which they were drawn, and are placed.
        alphabet: Number of tokens that each place was drawn from, uniformly.
        canaries: The canaries, and behind them the twins.
    """

    tokenizer: str
    prefix_tokens: int
    suffix_tokens: int
    seed: int
    alphabet: int
    canaries: tuple[Canary, ...]

    @property
    def digest(self) -> str:
        """Digest of all of it; who publishes it before training can show later that nothing was changed."""
        return digest_of(to_json(self))

    @property
    def planted(self) -> tuple[Canary, ...]:
        """The canaries that are put into the training set."""
        return tuple(canary for canary in self.canaries if canary.copies)

    @property
    def twins(self) -> tuple[Canary, ...]:
        """Those that are left out."""
        return tuple(canary for canary in self.canaries if not canary.copies)

    @property
    def tiers(self) -> tuple[int, ...]:
        """The numbers of copies, ascending."""
        return tuple(sorted({canary.copies for canary in self.planted}))


def _decode(entries: dict[str, Any]) -> Manifest:
    digest = entries.pop("digest")
    manifest: Manifest = from_json(Manifest, entries, complete=True)
    if manifest.digest != digest:
        raise ValueError("its digest is that of other content")
    if not manifest.planted or not manifest.twins:
        raise ValueError("canaries and twins were expected")
    return manifest


MANIFEST = VersionedFile(
    "A manifest of canaries", 1, _decode, "take the file as `kdmem canaries make` wrote it", kind="canaries"
)


def write_manifest(manifest: Manifest, path: Path) -> None:
    """Write a manifest, for its owner alone: who reads it can find the canaries.

    Raises:
        DataError: It cannot be written.
    """
    content = {**MANIFEST.header, "digest": manifest.digest, **to_json(manifest)}
    write_text(json_lines(content), path, private=True)
