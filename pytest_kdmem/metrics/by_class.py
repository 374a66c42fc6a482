"""What a model recites of one class of secrets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pytest_kdmem.base.arrays import Flags
from pytest_kdmem.errors import ComparisonError, SpecError
from pytest_kdmem.errors.harmless import quoted
from pytest_kdmem.metrics.distinct_rows import DistinctRows
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.scoring.table import ScoreTable
from pytest_kdmem.secrets.examples import SecretsOfExamples
from pytest_kdmem.specs.secret_settings import SECRET_CLASSES


@dataclass(frozen=True, eq=False)
class ClassMemorization:
    """The recited examples in whose suffix at least a part of a secret of one class stands.

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


def holds_secret(
    secrets: SecretsOfExamples | None, scores: ScoreTable, distinct: DistinctRows, is_searched: Flags, secret_class: str
) -> Flags:
    """Whether a secret of a class stands in the suffix of an example, bool ``[n]``; False where it is not searched.

    Args:
        secrets: Searches the text of examples; None where there is nothing to search with.
        scores: Score table of the examples.
        distinct: Its n distinct examples.
        is_searched: Which of them are searched, bool ``[n]``.
        secret_class: Name of the class.

    Raises:
        SpecError: There is no such class, or it cannot be looked for.
        DataError: The training set can no longer be read.
    """
    if secret_class not in SECRET_CLASSES:
        raise SpecError(f"A class of secrets was expected ({', '.join(SECRET_CLASSES)}); found {quoted(secret_class)}.")
    if secrets is None:
        raise SpecError("Classes of secrets are counted in audits, and this memorization belongs to none.")
    if reason := secrets.not_looked_for(scores).get(secret_class):
        raise SpecError(f"Class {secret_class} was expected to be searched for, and it is not, because {reason}.")
    rows = scores.rows.filter(distinct.row_mask(is_searched))
    classes = secrets.classes(scores, rows)
    holds = np.zeros(len(is_searched), dtype=bool)
    holds[is_searched] = [secret_class in classes[digest] for digest in rows["digest"].to_pylist()]
    return holds
