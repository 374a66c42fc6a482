"""Finding 5: other families memorize other documents, though the texts' zlib bytes agree.

Token ids cannot be compared between families, so sets are compared by document. zlib bytes are those of the decoded
window. Windows are counted in tokens, so the windows of two families cover different lengths of the same document.
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
from pytest_kdmem.study.findings.figures import Claim, Row, Share, row, share_row, spread
from pytest_kdmem.study.record import Role, Study

ROLES: tuple[Role, ...] = ("teacher", "baseline", "soft")


@dataclass(frozen=True)
class Pair:
    """Two families over the documents long enough for both, at one seed.

    Attributes:
        overlap: role → documents that both memorized, of those that either did.
        overlap_once: the same over documents that occur once in D; every family recites those that occur often.
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
        _pair(dataset, seed, (first, models[first]), (second, models[second]))
        for (dataset, seed), models in sorted(by_place.items())
        for first, second in combinations(models, 2)
    )


def _pair(
    dataset: str, seed: int, first: tuple[str, dict[Role, Examples]], second: tuple[str, dict[Role, Examples]]
) -> Pair:
    (first_family, first_models), (second_family, second_models) = first, second
    overlap, overlap_once = (
        {role: _overlap(first_models[role], second_models[role], once=once) for role in ROLES} for once in (False, True)
    )
    common, in_first, in_second = _common(first_models["baseline"], second_models["baseline"])
    r, p_value = None, None
    first_zlib = first_models["baseline"].column("zlib_bytes")[in_first]
    second_zlib = second_models["baseline"].column("zlib_bytes")[in_second]
    if len(common) > 2 and np.ptp(first_zlib) and np.ptp(second_zlib):
        correlation = pearsonr(first_zlib, second_zlib)
        r, p_value = float(correlation.statistic), float(correlation.pvalue)
    return Pair(dataset, first_family, second_family, seed, len(common), overlap, overlap_once, r, p_value)


def _common(first: Examples, second: Examples) -> tuple[Documents, Documents, Documents]:
    """Documents that are long enough for both, and their positions in each."""
    common, in_first, in_second = np.intersect1d(
        first.documents, second.documents, assume_unique=True, return_indices=True
    )
    return common, in_first, in_second


def _overlap(first: Examples, second: Examples, *, once: bool) -> Share:
    _, in_first, in_second = _common(first, second)
    counted = first.copies[in_first] == 1 if once else np.ones(len(in_first), dtype=bool)
    by_first, by_second = first.memorized[in_first] & counted, second.memorized[in_second] & counted
    return Share(int((by_first & by_second).sum()), int((by_first | by_second).sum()))


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
                claim = Claim("few", [few(share.k, share.n) for share in shared])
                lines.append(share_row(name, figure + which, shared, paper.SHARED_BETWEEN_FAMILIES, claim))
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
