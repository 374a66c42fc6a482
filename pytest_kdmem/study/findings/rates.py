"""Findings 1 and 2: how much each role memorizes, how well it models held-out text, and student against baseline."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_kdmem.study import published as paper
from pytest_kdmem.study.findings.direction import Vote, agreement, both, fewer, sides
from pytest_kdmem.study.findings.examples import Examples, Setting, Trio, settings
from pytest_kdmem.study.findings.figures import Claim, Row, Share, Spread, row, share_row, spread
from pytest_kdmem.study.record import Role, Study

ROLES: tuple[Role, ...] = ("teacher", "baseline", "soft", "hard")
STUDENTS: tuple[Role, ...] = ("soft", "hard")


@dataclass(frozen=True)
class RoleRates:
    """The models of one role, by seed.

    Attributes:
        memorized: of the distinct examples long enough.
        ambiguous: of them, those within the numerical tolerance.
        too_short: distinct examples left out of every figure.
        losses: nats a token on held-out text.
    """

    role: str
    seeds: tuple[int, ...]
    memorized: tuple[Share, ...]
    ambiguous: tuple[int, ...]
    too_short: tuple[int, ...]
    losses: Spread

    @property
    def perplexities(self) -> Spread:
        return spread(None if loss is None else math.exp(loss) for loss in self.losses.values)


@dataclass(frozen=True)
class StudentComparison:
    """A student and the baseline of its seed, over the same examples.

    Attributes:
        reduction: baseline's rate / student's, None if the student memorized nothing.
        p_value: of the exact McNemar test, two-sided.
        loss_difference: student − baseline on held-out text, in nats a token.
        verdict: whether the student memorizes less (by the test) at no worse held-out loss.
    """

    role: str
    seed: int
    only_baseline: int
    only_student: int
    reduction: float | None
    p_value: float
    memorizes_less: Vote
    loss_difference: float
    verdict: str


@dataclass(frozen=True)
class SettingRates:
    part: str
    family: str
    dataset: str
    roles: tuple[RoleRates, ...]
    comparisons: tuple[StudentComparison, ...]
    teacher_above_baseline: tuple[Vote, ...]

    def role(self, name: str) -> RoleRates | None:
        """The role's rates, None if no model has it."""
        return next((each for each in self.roles if each.role == name), None)

    def compared(self, name: str) -> tuple[StudentComparison, ...]:
        return tuple(each for each in self.comparisons if each.role == name)


def rates(study: Study, *parts: str) -> tuple[SettingRates, ...]:
    """Rates and losses of each family and data set of these parts (main and families by default)."""
    return tuple(_rates_of(setting) for setting in settings(study, *(parts or ("main", "families"))))


def _rates_of(setting: Setting) -> SettingRates:
    roles = tuple(_role(role, by_seed) for role in ROLES if (by_seed := setting.of(role)))
    trios = {role: setting.trios(role) for role in STUDENTS}
    comparisons = tuple(_compared(role, trio) for role in STUDENTS for trio in trios[role])
    above = tuple(fewer(trio.baseline.memorized, trio.teacher.memorized) for trio in trios["soft"])
    return SettingRates(setting.part, setting.family, setting.dataset, roles, comparisons, above)


def _role(role: Role, by_seed: dict[int, Examples]) -> RoleRates:
    models = by_seed.values()
    return RoleRates(
        role,
        tuple(by_seed),
        tuple(Share(int(model.memorized.sum()), len(model)) for model in models),
        tuple(int(model.ambiguous.sum()) for model in models),
        tuple(model.too_short for model in models),
        spread(model.run.held_out_loss for model in models),
    )


def _compared(role: Role, trio: Trio) -> StudentComparison:
    _, baseline, student = trio.flags
    reduction = trio.sets.reduction.value if student.any() else None
    less = fewer(student, baseline)
    difference = trio.student.run.held_out_loss - trio.baseline.run.held_out_loss
    verdict = "no" if less == -1 or difference > 0 else "yes" if less == 1 else "undecided"
    return StudentComparison(
        role,
        trio.seed,
        int((baseline & ~student).sum()),
        int((student & ~baseline).sum()),
        reduction,
        trio.sets.p_value,
        less,
        difference,
        verdict,
    )


def rows(result: Sequence[SettingRates]) -> tuple[Row, ...]:
    """Rates, reduction, loss and perplexity of each setting, and the verdict on both together."""
    return tuple(line for setting in result for line in (*rate_rows(setting), *_loss_rows(setting)))


def rate_rows(setting: SettingRates) -> list[Row]:
    """Rates of the roles and the reduction by each student; `setting` of any part."""
    key, name = (setting.family, setting.dataset), f"{setting.family}, {setting.dataset}"
    published = paper.RATES.get(key, {}) if setting.part != "pilot" else {}
    claims = {
        "teacher": Claim("more than the baseline", setting.teacher_above_baseline),
        "soft": Claim("less than the baseline", [each.memorizes_less for each in setting.compared("soft")]),
        "hard": Claim("less than the baseline", [each.memorizes_less for each in setting.compared("hard")]),
    }
    lines = []
    for role in setting.roles:
        claim = claims.get(role.role)
        lines.append(share_row(name, f"memorized, {role.role}", role.memorized, published.get(role.role), claim))
        lines.append(row(name, f"within numerical tolerance, {role.role}", "examples", role.ambiguous))
    for student in STUDENTS:
        if compared := setting.compared(student):
            reduction = paper.REDUCTIONS.get(key) if student == "soft" and setting.part != "pilot" else None
            values = [each.reduction for each in compared]
            lines.append(row(name, f"baseline / {student}", "times", values, reduction))
    # Lengths depend on the tokenizer only, so they are the same for all roles.
    lines += [row(name, "too short, left out of all", "examples", role.too_short[:1]) for role in setting.roles[:1]]
    return lines


def _loss_rows(setting: SettingRates) -> list[Row]:
    key, name = (setting.family, setting.dataset), f"{setting.family}, {setting.dataset}"
    losses, perplexities = paper.LOSSES.get(key, {}), paper.PERPLEXITIES.get(key, {})
    lines = []
    for role in setting.roles:
        compared = setting.compared(role.role)
        votes = sides([each.loss_difference for each in compared])
        claim = Claim("no worse than the baseline", votes) if role.role == "soft" else None
        figure = f"held-out loss, {role.role}"
        lines.append(row(name, figure, "nats", role.losses.values, losses.get(role.role), claim))
        figure = f"held-out perplexity, {role.role}"
        lines.append(row(name, figure, "perplexity", role.perplexities.values, perplexities.get(role.role)))
    if compared := setting.compared("soft"):
        holds = Share(sum(each.verdict == "yes" for each in compared), len(compared))
        no_worse = sides([each.loss_difference for each in compared])
        decided = agreement([both(each.memorizes_less, side) for each, side in zip(compared, no_worse, strict=True)])
        direction, figure = "memorizes less at no worse held-out loss", "seeds whose soft student does"
        lines.append(Row(name, figure, "percent", spread([holds.value]), None, direction, decided, (holds,)))
    return lines
