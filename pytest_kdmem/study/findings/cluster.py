"""Finding 4, further: easy examples lie close together, at few zlib bytes and low baseline perplexity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pytest_kdmem.base.arrays import Values
from pytest_kdmem.study import published as paper
from pytest_kdmem.study.findings.direction import Vote, decided, rank_sum
from pytest_kdmem.study.findings.examples import Setting, Trio, drawn, settings
from pytest_kdmem.study.findings.figures import Claim, Row, Unit, row
from pytest_kdmem.study.record import Study


@dataclass(frozen=True, eq=False)
class ClusterPoints:
    """zlib bytes and baseline perplexity of the easy set and of random examples, float64 ``[n]`` each."""

    setting: str
    seed: int
    easy_zlib: Values
    easy_perplexity: Values
    random_zlib: Values
    random_perplexity: Values


@dataclass(frozen=True)
class Quartiles:
    """Quartiles of n values; None if n is 0."""

    n: int
    lower: float | None
    median: float | None
    upper: float | None


@dataclass(frozen=True)
class Contrast:
    """A metric of the easy set against that of random examples.

    Attributes:
        u: Mann–Whitney's U of the easy set; None if either group is empty, as is its p-value (two-sided).
        variance_ratio: easy / random, below 1 where the easy set is the tighter; of perplexities, over their
            logarithms, since a few large ones would make any other set look tight. None below two values each.
    """

    easy: Quartiles
    random: Quartiles
    u: float | None
    p_value: float | None
    variance_ratio: float | None

    @property
    def vote(self) -> Vote:
        """Whether the easy set lies lower."""
        if self.u is None or self.p_value is None:
            return 0
        return decided(self.p_value, right=self.u < self.easy.n * self.random.n / 2)


@dataclass(frozen=True)
class Cluster:
    """The easy set of one setting against random examples that are not in it, by seed."""

    part: str
    family: str
    dataset: str
    seeds: tuple[int, ...]
    zlib_bytes: tuple[Contrast, ...]
    perplexity: tuple[Contrast, ...]


def points(study: Study) -> tuple[ClusterPoints, ...]:
    """The points behind the clusters: each setting at its first seed."""
    return tuple(
        _points(setting, trio) for setting in settings(study, "main", "families") for trio in setting.trios()[:1]
    )


def cluster(study: Study) -> tuple[Cluster, ...]:
    """The easy set against random examples, in each setting that has all three models of one seed."""
    clusters = (_of(setting) for setting in settings(study, "main", "families"))
    return tuple(each for each in clusters if each.seeds)


def _of(setting: Setting) -> Cluster:
    trios = setting.trios()
    points_by_seed = [_points(setting, trio) for trio in trios]
    return Cluster(
        setting.part,
        setting.family,
        setting.dataset,
        tuple(trio.seed for trio in trios),
        tuple(_contrast(each.easy_zlib, each.random_zlib) for each in points_by_seed),
        tuple(_contrast(each.easy_perplexity, each.random_perplexity, log=True) for each in points_by_seed),
    )


def _points(setting: Setting, trio: Trio) -> ClusterPoints:
    teacher, baseline, student = trio.flags
    easy = teacher & baseline & student
    random = drawn(~easy, paper.RANDOM_EXAMPLES, trio.seed)
    zlib, perplexity = trio.baseline.column("zlib_bytes"), np.exp(trio.baseline.column("nll"))
    return ClusterPoints(setting.name, trio.seed, zlib[easy], perplexity[easy], zlib[random], perplexity[random])


def _contrast(easy: Values, random: Values, *, log: bool = False) -> Contrast:
    u, p_value = rank_sum(easy, random) or (None, None)
    tightness = _variance_ratio(np.log(easy), np.log(random)) if log else _variance_ratio(easy, random)
    return Contrast(quartiles(easy), quartiles(random), u, p_value, tightness)


def quartiles(values: Values) -> Quartiles:
    if not len(values):
        return Quartiles(0, None, None, None)
    return Quartiles(len(values), *(float(each) for each in np.quantile(values, (0.25, 0.5, 0.75))))


def _variance_ratio(easy: Values, random: Values) -> float | None:
    if min(len(easy), len(random)) < 2 or not (variance := np.var(random, ddof=1)):
        return None
    return float(np.var(easy, ddof=1) / variance)


def rows(result: Sequence[Cluster]) -> tuple[Row, ...]:
    lines: list[Row] = []
    for each in result:
        name = f"{each.family}, {each.dataset}"
        lines += _rows(name, "zlib bytes", "bytes", each.zlib_bytes)
        lines += _rows(name, "baseline perplexity", "perplexity", each.perplexity)
    return tuple(lines)


def _rows(name: str, metric: str, unit: Unit, contrasts: Sequence[Contrast]) -> list[Row]:
    claim = Claim("lower than random examples", [contrast.vote for contrast in contrasts])
    ratios = [contrast.variance_ratio for contrast in contrasts]
    return [
        row(name, f"median {metric}, easy", unit, [each.easy.median for each in contrasts], None, claim),
        row(name, f"median {metric}, random", unit, [each.random.median for each in contrasts]),
        row(name, f"variance of {metric}, easy / random", "times", ratios),
    ]
