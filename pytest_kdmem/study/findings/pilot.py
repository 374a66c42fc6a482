"""Finding 11: from checkpoint to checkpoint of pre-training, the roles keep their order."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_kdmem.study.findings.figures import Row, row
from pytest_kdmem.study.findings.rates import SettingRates, rate_rows, rates
from pytest_kdmem.study.record import Study


def pilot(study: Study) -> tuple[SettingRates, ...]:
    """Rates of the pilot's teacher, baseline and student, and the student against the baseline."""
    return rates(study, "pilot")


def rows(result: Sequence[SettingRates]) -> tuple[Row, ...]:
    lines: list[Row] = []
    for setting in result:
        name = f"{setting.family}, {setting.dataset}"
        lines += rate_rows(setting)
        for each in setting.roles:
            # The published ones are of a million examples and of other data, so none stands beside.
            counts = [share.k for share in each.memorized]
            lines.append(row(name, f"memorized, {each.role}, examples", "examples", counts))
    return tuple(lines)
