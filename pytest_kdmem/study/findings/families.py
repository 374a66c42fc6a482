"""Finding 5: other families memorize other documents, though the texts' zlib bytes agree.

Ids of tokens are no ground for comparison between families, so sets are compared by document. zlib bytes are those of
the decoded window; windows are counted in tokens, so two families see stretches of different length of one document.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.stats import pearsonr

from pytest_kdmem.study import published as paper
from pytest_kdmem.study.findings.direction import Vote, agreement, decided, few
from pytest_kdmem.study.findings.examples import Documents, Examples, settings
from pytest_kdmem.study.findings.figures import Row, Share, row, share_row, spread
from pytest_kdmem.study.record import Role, Study

ROLES: tuple[Role, ...] = ("teacher", "baseline", "soft")


@dataclass(frozen=True)
class Pair:
    """Two families over the documents long enough for both, at one seed.

    Attributes:
        overlap: role → documents that both memorized, of those that either did.
        overlap_once: the same of documents that stand in D once; what stands there often, every family recites.
        zlib_r: Pearson's r of zlib bytes over the documents; None below three documents or where all are alike.
        zlib_p_value: of r being 0, two-sided.
    """

    dataset: str
    first: str
    second: str
    seed: int
    documents: int
    overlap: dict[Role, Share]
    overlap_once: dict[Role, Share]
    zlib_r: float | None
    zlib_p_value: float | None

    @property
    def name(self) -> str:
        return f"{self.first} – {self.second}, {self.dataset}"


def families(study: Study) -> tuple[Pair, ...]:
    """Every pair of families that trained on one data set with one seed."""
    by_place: dict[tuple[str, int], dict[str, dict[Role, Examples]]] = {}
    for setting in settings(study, "main", "families"):
        for trio in setting.trios():
            place = by_place.setdefault((setting.dataset, trio.seed), {})
            place[setting.family] = {"teacher": trio.teacher, "baseline": trio.baseline, "soft": trio.student}
    return tuple(
        _pair(dataset, seed, (one, found[one]), (other, found[other]))
        for (dataset, seed), found in sorted(by_place.items())
        for one, other in combinations(found, 2)
    )


def _pair(
    dataset: str, seed: int, one: tuple[str, dict[Role, Examples]], other: tuple[str, dict[Role, Examples]]
) -> Pair:
    (first, first_models), (second, second_models) = one, other
    overlap, overlap_once = (
        {role: _overlap(first_models[role], second_models[role], once=once) for role in ROLES} for once in (False, True)
    )
    common, in_first, in_second = _common(first_models["baseline"], second_models["baseline"])
    r, p_value = None, None
    one_zlib = first_models["baseline"].column("zlib_bytes")[in_first]
    other_zlib = second_models["baseline"].column("zlib_bytes")[in_second]
    if len(common) > 2 and np.ptp(one_zlib) and np.ptp(other_zlib):
        found = pearsonr(one_zlib, other_zlib)
        r, p_value = float(found.statistic), float(found.pvalue)
    return Pair(dataset, first, second, seed, len(common), overlap, overlap_once, r, p_value)


def _common(one: Examples, other: Examples) -> tuple[Documents, Documents, Documents]:
    """Documents long enough for both, and where they stand in each."""
    common, in_one, in_other = np.intersect1d(one.documents, other.documents, assume_unique=True, return_indices=True)
    return common, in_one, in_other


def _overlap(one: Examples, other: Examples, *, once: bool) -> Share:
    _, in_one, in_other = _common(one, other)
    counted = one.copies[in_one] == 1 if once else np.ones(len(in_one), dtype=bool)
    first, second = one.memorized[in_one] & counted, other.memorized[in_other] & counted
    return Share(int((first & second).sum()), int((first | second).sum()))


def rows(result: Sequence[Pair]) -> tuple[Row, ...]:
    lines: list[Row] = []
    for pairs in _by_name(result):
        name, names = pairs[0].name, frozenset({pairs[0].first, pairs[0].second})
        for role in ROLES:
            figure = f"documents memorized by both, of those by either, {role}"
            for which, shared in (
                ("", [pair.overlap[role] for pair in pairs]),
                (", 1 × in D", [pair.overlap_once[role] for pair in pairs]),
            ):
                votes = [few(share.k, share.n) for share in shared]
                lines.append(share_row(name, figure + which, shared, paper.SHARED_BETWEEN_FAMILIES, "few", votes))
        correlations: list[Vote] = [
            0 if pair.zlib_r is None or pair.zlib_p_value is None else decided(pair.zlib_p_value, right=pair.zlib_r > 0)
            for pair in pairs
        ]
        published, measured = paper.ZLIB_CORRELATIONS.get(names), spread(pair.zlib_r for pair in pairs)
        lines += [
            Row(name, "Pearson r of zlib bytes", "r", measured, published, "above 0", agreement(correlations)),
            row(name, "documents long enough for both", "examples", [pair.documents for pair in pairs]),
        ]
    return tuple(lines)


def _by_name(result: Sequence[Pair]) -> list[list[Pair]]:
    """Pairs of the same families and data set, a seed each."""
    return [[pair for pair in result if pair.name == name] for name in dict.fromkeys(pair.name for pair in result)]
