"""Entry of an audit's result that holds any further figure: of a family, on a subject, at a label."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
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
        over: Names of what else it is taken over, such as its control set, by what they name; None of a figure over the
            training set alone. Labels tell them where an audit has several.
        digest: Digest of what it is taken over, if that is more than a training set; empty if it is not.
    """

    family: Family
    subject: str
    label: str
    estimate: Estimate
    note: str = ""
    over: dict[str, str] | None = field(default=None, metadata={"json_default": "left out"})
    digest: str = field(default="", metadata={"json_default": "left out"})

    @property
    def key(self) -> tuple[str, str, str]:
        """Family, subject and label, which tell the figures of one audit apart."""
        return self.family, self.subject, self.label


def with_sets_named(figures: Iterable[FigureEntry]) -> list[FigureEntry]:
    """Name in each label what a figure is taken over, of that of which the family has several, and else not."""
    figures = list(figures)
    names: dict[tuple[Family, str], set[str]] = {}
    for figure in figures:
        for kind, name in (figure.over or {}).items():
            names.setdefault((figure.family, kind), set()).add(name)
    return [replace(figure, label=_without_names(figure) + _told(figure, names)) for figure in figures]


def _without_names(figure: FigureEntry) -> str:
    """The label without the names that it has where others of the audit are known."""
    label = figure.label
    for kind, name in reversed((figure.over or {}).items()):
        label = label.removesuffix(f", {kind} {name}")
    return label


def _told(figure: FigureEntry, names: Mapping[tuple[Family, str], set[str]]) -> str:
    """The names by which a figure is told from others of its family."""
    several = {kind: name for kind, name in (figure.over or {}).items() if len(names[figure.family, kind]) > 1}
    return "".join(f", {kind} {name}" for kind, name in several.items())


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
