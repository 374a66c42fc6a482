"""Entry of an audit's result that holds any further figure: of a family, on a subject, at a label."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.specs.roles import ROLE_ORDER

Family = Literal[
    "context", "near_verbatim", "sampler", "specific", "group", "copies", "class", "membership", "canaries",
    "teacher_set",
]  # fmt: skip
FAMILIES: tuple[Family, ...] = get_args(Family)


@dataclass(frozen=True)
class FigureEntry:
    """A figure of one of the families, which every report shows as tables of their own.

    Attributes:
        family: Family of the figure.
        subject: Role or name of the model that was measured; a column of the family's table.
        label: What the figure is over, such as a group or a prefix length; a row of the family's table.
        estimate: The figure with its bounds.
        note: What a reader must know of this figure, in a sentence; empty if nothing.
    """

    family: Family
    subject: str
    label: str
    estimate: Estimate
    note: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """Family, subject and label, which tell the figures of one audit apart."""
        return self.family, self.subject, self.label


def in_order(figures: Iterable[FigureEntry]) -> tuple[FigureEntry, ...]:
    """The figures by family, by label in the order in which labels first appear, and by subject, roles first.

    So a record is the same whichever process gathered which figures.
    """
    ordered = list(figures)
    labels = {key: place for place, key in enumerate(dict.fromkeys((each.family, each.label) for each in ordered))}

    def place(figure: FigureEntry) -> tuple[int, int, int, str]:
        role = ROLE_ORDER.index(figure.subject) if figure.subject in ROLE_ORDER else len(ROLE_ORDER)
        return FAMILIES.index(figure.family), labels[figure.family, figure.label], role, figure.subject

    return tuple(sorted(ordered, key=place))
