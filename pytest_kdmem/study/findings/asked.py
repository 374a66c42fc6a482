"""The answers to further questions of all models of one D, by role and seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_kdmem.base.arrays import Flags
from pytest_kdmem.errors import DataError
from pytest_kdmem.study.answers import Answers
from pytest_kdmem.study.findings.direction import Vote, fewer
from pytest_kdmem.study.findings.figures import Claim, Row, Share, share_row
from pytest_kdmem.study.record import Role, Study

# Which models are asked: part and role, in the order of the tables.
ASKED: tuple[tuple[str, Role], ...] = (
    ("main", "teacher"),
    ("main", "baseline"),
    ("main", "soft"),
    ("main", "hard"),
    ("on_policy", "on-policy"),
)
STUDENTS: tuple[Role, ...] = ("soft", "hard", "on-policy")
LESS = "less than the baseline"

FlagsOf = Callable[[Answers], Flags]


@dataclass(frozen=True, eq=False)
class Asked:
    """The models of one family and data set that were asked.

    Attributes:
        answers: answers by role and seed.
    """

    family: str
    dataset: str
    answers: Mapping[Role, Mapping[int, Answers]]

    @property
    def name(self) -> str:
        return f"{self.family}, {self.dataset}"

    @property
    def any(self) -> Answers:
        """The answers of one of the models, for what they share."""
        return next(iter(next(iter(self.answers.values())).values()))

    def pairs(self, role: Role, other: Role = "baseline") -> list[tuple[Answers, Answers]]:
        """Answers of a role and those of another, of each seed that both have."""
        first, second = self.answers.get(role, {}), self.answers.get(other, {})
        return [(first[seed], second[seed]) for seed in first if seed in second]


def asked(study: Study) -> Iterator[Asked]:
    """Every family and data set of which models were asked.

    Raises:
        DataError: two models were asked over different examples.
    """
    places = dict.fromkeys((run.family, run.dataset) for run in study.select(part="main") if run.answers is not None)
    for family, dataset in places:
        answers: dict[Role, dict[int, Answers]] = {}
        for part, role in ASKED:
            runs = study.select(part=part, family=family, dataset=dataset, role=role)
            by_seed = {run.seed: run.answers for run in runs if run.answers is not None}
            if by_seed:
                answers[role] = by_seed
        if len({each.examples for by_seed in answers.values() for each in by_seed.values()}) > 1:
            raise DataError(
                f"Answers over the same examples were expected of all models of {family}, {dataset}, and they differ;"
                " ask them again over one D."
            )
        yield Asked(family, dataset, answers)


@dataclass(frozen=True)
class RoleRate:
    """A rate of the models of one role, by seed.

    Attributes:
        setting: family and data set.
        figure: what is counted.
        shares: of the examples that could be measured.
        claim: a direction that is published, in words; empty if there is none.
        votes: the vote of each seed on it.
        published: a published figure of other models; None if there is none.
    """

    setting: str
    figure: str
    role: str
    seeds: tuple[int, ...]
    shares: tuple[Share, ...]
    claim: str = ""
    votes: tuple[Vote, ...] = ()
    published: float | None = None


def role_rates(
    setting: Asked, figure: str, flags_of: FlagsOf, measured_of: FlagsOf | None = None, floor_of: FlagsOf | None = None
) -> list[RoleRate]:
    """The rate of each role.

    Args:
        setting: The models.
        figure: What is counted.
        flags_of: Which of the n examples count, by the answers of a model.
        measured_of: Which could be measured; all if None.
        floor_of: What is claimed to be exceeded by teacher and baseline; nothing is claimed of them if None. Students
            are claimed to stay below the baseline.
    """
    rates = []
    for role, by_seed in setting.answers.items():
        models = list(by_seed.values())
        shares = [Share(int(flags_of(each).sum()), _measured(each, flags_of, measured_of)) for each in models]
        claim, votes = "", list[Vote]()
        if role in STUDENTS:
            claim = LESS
            votes = [fewer(flags_of(first), flags_of(second)) for first, second in setting.pairs(role)]
        elif floor_of is not None:
            claim = "more than exactly"
            votes = [fewer(floor_of(each), flags_of(each)) for each in models]
        rates.append(RoleRate(setting.name, figure, role, tuple(by_seed), tuple(shares), claim, tuple(votes)))
    return rates


def _measured(answers: Answers, flags_of: FlagsOf, measured_of: FlagsOf | None) -> int:
    return len(flags_of(answers)) if measured_of is None else int(measured_of(answers).sum())


def rate_rows(rates: Sequence[RoleRate]) -> tuple[Row, ...]:
    """A row for each."""
    return tuple(
        share_row(
            rate.setting,
            f"{rate.figure}, {rate.role}",
            rate.shares,
            rate.published,
            Claim(rate.claim, rate.votes) if rate.claim else None,
        )
        for rate in rates
    )
