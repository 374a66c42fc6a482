"""What a model recites of one class of secrets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pytest_kdmem.base.arrays import Flags
from pytest_kdmem.base.text import count
from pytest_kdmem.errors import ComparisonError, SpecError
from pytest_kdmem.errors.harmless import quoted
from pytest_kdmem.metrics.distinct_rows import DistinctRows
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.metrics.flags import FLAG_COLUMNS, FlagColumn
from pytest_kdmem.metrics.verdict import Verdict
from pytest_kdmem.metrics.window_hits import WindowHits
from pytest_kdmem.scoring.table import ScoreTable
from pytest_kdmem.secrets.examples import SecretsOfExamples
from pytest_kdmem.specs.secret_settings import SECRET_CLASSES

# Place of the first secret in an example that holds none.
NOWHERE = np.iinfo(np.int32).max


class Recited(Protocol):
    """What of a memorization is searched for secrets."""

    @property
    def scores(self) -> ScoreTable: ...
    @property
    def distinct_rows(self) -> DistinctRows: ...
    @property
    def secrets(self) -> SecretsOfExamples | None: ...
    @property
    def has_windows(self) -> bool: ...
    @property
    def window_hits(self) -> WindowHits: ...


@dataclass(frozen=True, eq=False)
class RecitedSecrets:
    """The examples in which a model that recites the suffix recites at least a part of a secret of one class.

    What is recited is the suffix, and what follows it up to the first miss. Where verdicts alone were scored, the first
    miss behind the suffix is not known.

    Attributes:
        by_reading: Whether an example is one, bool ``[n]``, by each reading of the hits.
        unknown: Whether the first secret stands behind the suffix of an example of which verdicts alone are known, bool
            ``[n]``. By no reading it is one.
    """

    by_reading: Mapping[FlagColumn, Flags]
    unknown: Flags


@dataclass(frozen=True, eq=False)
class ClassMemorization:
    """The recited examples of which the model recites at least a part of a secret of one class.

    Attributes:
        secret_class: Name of the class.
        rate: Number of these examples / number of all distinct scored examples, whether they hold a secret or not.
            Ambiguous verdicts move its bounds as those of the memorization rate.
        examples: Positions of these examples in the training set, each that of its first copy.
        ambiguous_examples: Positions of those whose verdict is ambiguous.
    """

    secret_class: str
    rate: Estimate
    examples: list[int]
    ambiguous_examples: list[int]

    def __bool__(self) -> bool:
        raise ComparisonError("What is recited of a class is neither true nor false; compare its rate.")

    def __repr__(self) -> str:
        return f"ClassMemorization({self.secret_class}: {self.rate})"

    @property
    def count(self) -> int:
        """Number of these examples, by the observed verdicts."""
        return len(self.examples)


def recited_secrets(recited: Recited, is_searched: Flags, secret_class: str) -> RecitedSecrets:
    """Which examples hold a secret of a class in what is recited of them; those that are not searched hold none.

    Args:
        recited: What a model memorized of n distinct examples.
        is_searched: Which of them are searched, bool ``[n]``.
        secret_class: Name of the class.

    Raises:
        SpecError: There is no such class, or it cannot be looked for.
        DataError: The training set can no longer be read.
    """
    if secret_class not in SECRET_CLASSES:
        raise SpecError(f"A class of secrets was expected ({', '.join(SECRET_CLASSES)}); found {quoted(secret_class)}.")
    if recited.secrets is None:
        raise SpecError("Classes of secrets are counted in audits, and this memorization belongs to none.")
    if reason := recited.secrets.not_looked_for(recited.scores).get(secret_class):
        raise SpecError(f"Class {secret_class} was expected to be searched for, and it is not, because {reason}.")
    places = _places(recited, recited.secrets, is_searched, secret_class)
    suffix_tokens = recited.scores.extraction.suffix_tokens
    is_behind = (places >= suffix_tokens) & (places < NOWHERE)
    if not is_behind.any() or not recited.has_windows:
        return RecitedSecrets(dict.fromkeys(FLAG_COLUMNS, places < suffix_tokens), is_behind)
    # Another engine may have decided the verdict, so an example that is recited is so at least to the suffix's end.
    readings = recited.window_hits.recited_tokens
    ends = {name: np.maximum(readings[name], suffix_tokens) for name in FLAG_COLUMNS}
    return RecitedSecrets({name: places < end for name, end in ends.items()}, np.zeros_like(is_behind))


def of_unknown(unknown: int, secret_class: str) -> Verdict | None:
    """The verdict of comparisons that would hold, if so many recited examples hold a secret behind the suffix."""
    if not unknown:
        return None
    return Verdict(
        "inconclusive",
        basis=f"because {unknown_secrets(unknown, secret_class)}",
        remedy='Ask for memorization(…, metrics="all"), which shows how far a model recites.',
    )


def unknown_secrets(unknown: int, secret_class: str) -> str:
    """Say that so many recited examples hold a secret where verdicts alone do not show whether it is recited."""
    examples = "one recited example holds" if unknown == 1 else f"{count(unknown)} recited examples hold"
    return f"{examples} a secret of class {secret_class} behind the suffix, and verdicts alone were scored"


def _places(
    recited: Recited, secrets: SecretsOfExamples, is_searched: Flags, secret_class: str
) -> npt.NDArray[np.int32]:
    """Number of tokens from the suffix's first one to the first secret of each example ``[n]``; `NOWHERE` if none."""
    rows = recited.scores.rows.filter(recited.distinct_rows.row_mask(is_searched))
    places_by_digest = secrets.places(recited.scores, rows)
    places = np.full(len(is_searched), NOWHERE, dtype=np.int32)
    places[is_searched] = [places_by_digest[digest].get(secret_class, NOWHERE) for digest in rows["digest"].to_pylist()]
    return places
