"""What of a training set is too short to be scored: nothing is known of it, and copies of it are recited first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_kdmem.base.text import count

if TYPE_CHECKING:
    import pyarrow as pa

    from pytest_kdmem.scoring.table import ScoreTable


@dataclass(frozen=True)
class TooShort:
    """The examples of a training set that have fewer tokens than prefix and suffix.

    Attributes:
        rows: Number of rows.
        distinct: Number of distinct examples in them; None if it is unknown.
        most_copies: Greatest number of rows that one of them has; 0 if there is none, or it is unknown.
    """

    rows: int = 0
    distinct: int | None = 0
    most_copies: int = 0

    def __bool__(self) -> bool:
        return self.rows > 0

    def __str__(self) -> str:
        if self.distinct is None:
            often = f", one stands {count(self.most_copies)} times" if self.most_copies > 1 else ""
            return f"{count(self.rows)} {'row that is' if self.rows == 1 else 'rows that are'} too short{often}"
        shown = f"{count(self.distinct)} {'example that is' if self.distinct == 1 else 'examples that are'} too short"
        if self.most_copies < 2:
            return shown
        if self.distinct == 1:
            return f"{shown} ({count(self.rows)} rows)"
        return f"{shown} ({count(self.rows)} rows, one stands {count(self.most_copies)} times)"

    @property
    def brief(self) -> str:
        """The same in a list of counts."""
        if self.distinct is None:
            return f"{count(self.rows)} {'row' if self.rows == 1 else 'rows'} too short"
        if self.most_copies < 2:
            return f"{count(self.rows)} too short"
        return f"{count(self.distinct)} too short ({count(self.rows)} rows, one stands {count(self.most_copies)} times)"


def count_short_rows(rows: pa.Table) -> TooShort:
    """Count what is too short among the rows of a whole training set, by their columns ``digest`` and ``status``."""
    import pyarrow.compute as pc  # reports are read without it

    short = rows["digest"].filter(pc.equal(rows["status"], "too_short"))
    copies = pc.value_counts(short).field("counts").to_numpy(zero_copy_only=False) if len(short) else ()
    return TooShort(len(short), len(copies), max(map(int, copies), default=0))


def count_too_short(scores: ScoreTable) -> TooShort:
    """Count what is too short in the training set of a score table, also if a sample was drawn of the rest."""
    record = scores.record
    if record.short:
        return TooShort(record.too_short, sum(each.distinct for each in record.short), record.short[-1].copies)
    if not record.exhaustive or scores.training_set.sample is not None:  # a record of an earlier version
        return TooShort(record.too_short, None if record.too_short else 0)
    return count_short_rows(scores.rows)
