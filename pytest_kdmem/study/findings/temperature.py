"""Finding 9: the higher the temperature of distillation, the less a student memorizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_kdmem.errors import DataError
from pytest_kdmem.study.findings.direction import Vote, fewer
from pytest_kdmem.study.findings.examples import described, examples_of, same_examples
from pytest_kdmem.study.findings.figures import Claim, Row, Share, row, share_row
from pytest_kdmem.study.record import ModelRun, Study


@dataclass(frozen=True)
class Point:
    temperature: float
    memorized: Share
    held_out_loss: float


@dataclass(frozen=True)
class Sweep:
    """Soft students of one seed that differ in temperature alone, the lowest first.

    Attributes:
        falling: whether no temperature memorizes more than the one below it.
        hottest_has_fewer: the highest temperature memorized fewer than the lowest (exact McNemar).
    """

    family: str
    dataset: str
    seed: int
    points: tuple[Point, ...]
    falling: bool
    hottest_has_fewer: Vote


def temperature(study: Study) -> tuple[Sweep, ...]:
    """Sweeps of the temperature part, joined by the main part's student of the same seed."""
    places = dict.fromkeys((run.family, run.dataset, run.seed) for run in study.select(part="temperature", role="soft"))
    sweeps = (_sweep(study, *place) for place in places)
    return tuple(sweep for sweep in sweeps if len(sweep.points) > 1)


def _sweep(study: Study, family: str, dataset: str, seed: int) -> Sweep:
    runs = [
        run
        for part in ("main", "temperature")
        for run in study.select(part=part, family=family, dataset=dataset, seed=seed, role="soft")
    ]
    ordered = sorted(runs, key=_temperature)
    temperatures = [_temperature(run) for run in ordered]
    if len(set(temperatures)) < len(temperatures):
        raise DataError(
            f"One soft student per temperature was expected of {family}, {dataset}, seed {seed}; found temperatures"
            f" {temperatures}; leave the main part's temperature out of the sweep."
        )
    models = [examples_of(study, run) for run in ordered]
    same_examples(*models)
    points = tuple(
        Point(at, Share(int(model.memorized.sum()), len(model)), model.run.held_out_loss)
        for at, model in zip(temperatures, models, strict=True)
    )
    counts = [point.memorized.k for point in points]
    falling = counts == sorted(counts, reverse=True)
    return Sweep(family, dataset, seed, points, falling, fewer(models[-1].memorized, models[0].memorized))


def _temperature(run: ModelRun) -> float:
    if run.temperature is None:
        raise DataError(f"A temperature was expected of {described(run)}, and it has none; a soft student needs one.")
    return run.temperature


def rows(result: Sequence[Sweep]) -> tuple[Row, ...]:
    lines: list[Row] = []
    for sweeps in _by_place(result):
        name = f"{sweeps[0].family}, {sweeps[0].dataset}"
        votes = [sweep.hottest_has_fewer for sweep in sweeps]
        hottest = max(point.temperature for point in sweeps[0].points)
        for at in sorted({point.temperature for sweep in sweeps for point in sweep.points}):
            points = [point for sweep in sweeps for point in sweep.points if point.temperature == at]
            claim = Claim("less than at the lowest temperature", votes) if at == hottest else None
            shares, losses = [point.memorized for point in points], [point.held_out_loss for point in points]
            lines.append(share_row(name, f"memorized, soft, T = {at:g}", shares, None, claim))
            lines.append(row(name, f"held-out loss, soft, T = {at:g}", "nats", losses))
    return tuple(lines)


def _by_place(result: Sequence[Sweep]) -> list[list[Sweep]]:
    """Sweeps of the same family and data set, a seed each."""
    places = dict.fromkeys((sweep.family, sweep.dataset) for sweep in result)
    return [[sweep for sweep in result if (sweep.family, sweep.dataset) == place] for place in places]
