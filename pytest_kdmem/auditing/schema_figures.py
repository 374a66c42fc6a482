"""Entry of an audit's result that holds any further figure: of a family, on a subject, at a label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from pytest_kdmem.metrics.estimate import Estimate

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
