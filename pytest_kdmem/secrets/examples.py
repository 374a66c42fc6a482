"""Tells where behind the prefixes of examples secrets stand, by class; places are stored by digest, without text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.errors import DataError
from pytest_kdmem.scoring.example_texts import read_texts
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import ScoreTable
from pytest_kdmem.secrets.search import SecretSearch
from pytest_kdmem.specs.secret_settings import SECRET_CLASSES
from pytest_kdmem.specs.tokenizer_files import has_tokenizer

# By the digest of an example and the classes of the secrets behind its prefix: the number of tokens from the first one
# of the suffix to the first that is a part of a secret.
PlacesByDigest = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class SecretsOfExamples:
    """Searches examples of score tables, and remembers what it found.

    Args:
        search: What is looked for.
        store: Where classes are kept.
    """

    search: SecretSearch
    store: ScoreStore
    _read: dict[str, dict[str, Mapping[str, int]]] = field(default_factory=dict)

    def not_looked_for(self, scores: ScoreTable) -> dict[str, str]:
        """Return the classes that examples of a table are not searched for, each with the reason.

        Raises:
            SpecError: The model of names and addresses cannot be used.
        """
        if not has_tokenizer(scores.checkpoint.text_folder):
            return dict.fromkeys(SECRET_CLASSES, "the model has no tokenizer, which makes text of token ids")
        return self.search.not_looked_for

    def places(self, scores: ScoreTable, rows: pa.Table) -> PlacesByDigest:
        """Return where in some examples secrets stand; the training set is read again for those not searched before.

        Args:
            scores: Score table of the examples.
            rows: Rows of the table.

        Raises:
            DataError: The training set can no longer be read, or holds other examples than were scored.
            SpecError: The model of names and addresses cannot be used.
            StoreError: The store cannot be written.
        """
        key = self._key(scores)
        places = self._read.setdefault(key, self._stored(key))
        wanted = dict(zip(rows["example_id"].to_pylist(), rows["digest"].to_pylist(), strict=True))
        missing = {position: digest for position, digest in wanted.items() if digest not in places}
        if missing:
            places |= self._search(scores, missing)
            self.store.write_entry("secret-classes", key, {"places": places})
        return {digest: places[digest] for digest in wanted.values()}

    def _search(self, scores: ScoreTable, digests: Mapping[int, str]) -> dict[str, Mapping[str, int]]:
        places: dict[str, Mapping[str, int]] = {}
        for text in read_texts(scores, digests, offline=self.search.offline):
            if text.example.digest == digests[text.example.position]:
                characters = self.search.first_places(*text.window())
                places[text.example.digest] = {name: text.tokens_before(at) for name, at in sorted(characters.items())}
        if places.keys() < set(digests.values()):
            raise DataError(
                f"The examples that were scored were expected in {scores.training_set.source} when their text was read"
                " again, and it holds others; run the audit again."
            )
        return places

    def _key(self, scores: ScoreTable) -> str:
        extraction = scores.extraction
        lengths = [extraction.prefix_tokens, extraction.suffix_tokens, extraction.window_tokens]
        return digest_of([scores.record.digest, scores.checkpoint.text_digest, *lengths, self.search.identity])

    def _stored(self, key: str) -> dict[str, Mapping[str, int]]:
        """The places that the store has; an entry of another form counts as absent."""
        content = self.store.read_entry("secret-classes", key) or {}
        try:
            places: dict[str, Mapping[str, int]] = {
                digest: dict(by_class) for digest, by_class in content["places"].items()
            }
        except (KeyError, TypeError, ValueError, AttributeError):
            return {}
        class_places = [entry for by_class in places.values() for entry in by_class.items()]
        is_right = all(name in SECRET_CLASSES and type(place) is int and place >= 0 for name, place in class_places)
        return places if is_right else {}
