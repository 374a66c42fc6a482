"""Finding 8: how certain models are of the examples that they memorize.

The baseline memorizes examples of which it is uncertain (high entropy). The student is as uncertain of these examples,
gives them a low log-probability, and does not memorize them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pytest_kdmem.base.arrays import Flags, Values
from pytest_kdmem.study.findings.direction import Vote, decided, greater, rank_sum
from pytest_kdmem.study.findings.examples import Examples, Setting, Trio, drawn, settings
from pytest_kdmem.study.findings.figures import Claim, Row, row
from pytest_kdmem.study.record import Study

RANDOM_EXAMPLES = 1000
MODELS = ("teacher", "baseline", "soft")
# Memorized by teacher and baseline and not by the student; by the teacher and not by the baseline; random others.
GROUPS = ("T∩B∖S", "T∖B", "random")


@dataclass(frozen=True, eq=False)
class CertaintyPoints:
    """Suffix entropy and log-probability of one group under one model, float64 ``[n]`` each, in nats.

    The entropy is the mean over the suffix, the log-probability the sum over it.
    """

    setting: str
    seed: int
    group: str
    model: str
    entropy: Values
    logprob: Values


@dataclass(frozen=True)
class Certainty:
    """One group under one model: means in nats, None if the group is empty."""

    group: str
    model: str
    n: int
    entropy: float | None
    logprob: float | None


@dataclass(frozen=True)
class Forced:
    """One setting at one seed.

    Attributes:
        unsure_baseline: on T ∩ B \\ S, the baseline's entropy is above the teacher's (signed ranks).
        sure_of_target: there, the baseline's log-probability is above its own of random examples (rank sum).
        unsure_student: there, the student's entropy is above the teacher's (signed ranks).
        unlikely_student: there, the student's log-probability is below the baseline's (signed ranks).
    """

    part: str
    family: str
    dataset: str
    seed: int
    groups: tuple[Certainty, ...]
    unsure_baseline: Vote
    sure_of_target: Vote
    unsure_student: Vote
    unlikely_student: Vote

    def of(self, group: str, model: str) -> Certainty:
        return next(each for each in self.groups if (each.group, each.model) == (group, model))


def points(study: Study) -> tuple[tuple[CertaintyPoints, ...], ...]:
    """Every group under every model: each setting at its first seed."""
    return tuple(
        tuple(_points(setting, trio)) for setting in settings(study, "main", "families") for trio in setting.trios()[:1]
    )


def forced(study: Study) -> tuple[Forced, ...]:
    """Entropy and log-probability by group, for each setting and seed with all three models."""
    return tuple(_of(setting, trio) for setting in settings(study, "main", "families") for trio in setting.trios())


def _points(setting: Setting, trio: Trio) -> list[CertaintyPoints]:
    teacher, baseline, student = trio.flags
    members = {"T∩B∖S": teacher & baseline & ~student, "T∖B": teacher & ~baseline}
    random: Flags = np.zeros(len(teacher), dtype=bool)
    random[drawn(~(members["T∩B∖S"] | members["T∖B"]), RANDOM_EXAMPLES, trio.seed)] = True
    models: dict[str, Examples] = dict(zip(MODELS, (trio.teacher, trio.baseline, trio.student), strict=True))
    return [
        CertaintyPoints(setting.name, trio.seed, group, name, model.column("entropy")[at], model.column("logprob")[at])
        for group, at in (members | {"random": random}).items()
        for name, model in models.items()
    ]


def _of(setting: Setting, trio: Trio) -> Forced:
    points_of = {(each.group, each.model): each for each in _points(setting, trio)}
    teacher, baseline, student = (points_of["T∩B∖S", model] for model in MODELS)
    return Forced(
        setting.part,
        setting.family,
        setting.dataset,
        trio.seed,
        tuple(
            Certainty(*key, len(each.entropy), _mean(each.entropy), _mean(each.logprob))
            for key, each in points_of.items()
        ),
        unsure_baseline=greater(baseline.entropy, teacher.entropy),
        sure_of_target=_above_random(baseline.logprob, points_of["random", "baseline"].logprob),
        unsure_student=greater(student.entropy, teacher.entropy),
        unlikely_student=greater(baseline.logprob, student.logprob),
    )


def _mean(values: Values) -> float | None:
    return float(values.mean()) if len(values) else None


def _above_random(group: Values, random: Values) -> Vote:
    test = rank_sum(group, random)
    if test is None:
        return 0
    u, p_value = test
    return decided(p_value, right=u > len(group) * len(random) / 2)


def rows(result: Sequence[Forced]) -> tuple[Row, ...]:
    lines: list[Row] = []
    for part, family, dataset in dict.fromkeys((each.part, each.family, each.dataset) for each in result):
        name = f"{family}, {dataset}"
        seeds = [each for each in result if (each.part, each.family, each.dataset) == (part, family, dataset)]
        claims = {
            ("entropy", "baseline"): Claim("above the teacher's", [each.unsure_baseline for each in seeds]),
            ("entropy", "soft"): Claim("above the teacher's", [each.unsure_student for each in seeds]),
            ("logprob", "baseline"): Claim("above its own of random examples", [each.sure_of_target for each in seeds]),
            ("logprob", "soft"): Claim("below the baseline's", [each.unlikely_student for each in seeds]),
        }
        for group in GROUPS:
            cells = {model: [each.of(group, model) for each in seeds] for model in MODELS}
            lines.append(row(name, f"examples, {group}", "examples", [each.n for each in cells["teacher"]]))
            for metric, figure in (("entropy", "suffix entropy"), ("logprob", "suffix log-probability")):
                for model in MODELS:
                    claim = claims.get((metric, model)) if group == "T∩B∖S" else None
                    values = [getattr(each, metric) for each in cells[model]]
                    lines.append(row(name, f"{figure}, {model}, {group}", "nats", values, None, claim))
    return tuple(lines)
