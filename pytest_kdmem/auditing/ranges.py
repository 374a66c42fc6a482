"""Checks the values of a report that was read from a file, so that whatever it holds can be compared and rendered.

What an audit makes is in range by itself. A file may have been changed, and a number of the right kind that no audit
writes would end a report, or a test of hypotheses, in an error of another library.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from itertools import pairwise
from typing import Any

from pytest_kdmem.auditing.schema import HeldOutEntry, InheritanceEntry, ModelEntry, RiskEntry, check
from pytest_kdmem.auditing.schema_checks import ConfirmationEntry
from pytest_kdmem.auditing.schema_examples import DistributionsEntry, ExamplesEntry, RepetitionBin
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.risk.reliability import Bin

# No set has more examples and no model more parameters.
MOST = 10**15


def check_ranges(value: Any) -> None:
    """Raise ValueError if a part of an audit's result is out of its range.

    Args:
        value: The result, or any part of it; parts below it are checked, too.
    """
    if isinstance(value, tuple) and value and all(type(entry) is int for entry in value):
        check(min(value) >= 0 and max(value) <= MOST, f"numbers from 0 to {MOST}")
    elif isinstance(value, tuple):
        for entry in value:
            check_ranges(entry)
    elif isinstance(value, dict):
        check_ranges(tuple(value.values()))
    elif type(value) is int:
        check(0 <= value <= MOST, f"a number from 0 to {MOST}")
    elif is_dataclass(value):
        for field in fields(value):
            # Settings and run cards are shown and not computed with.
            if field.name not in ("settings", "versions", "run", "disagreements"):
                check_ranges(getattr(value, field.name))
        CHECKS.get(type(value), lambda value: None)(value)


def _estimate(estimate: Estimate) -> None:
    check(0 < estimate.confidence < 1, "a confidence between 0 and 1")
    check(estimate.ambiguous <= estimate.n, "no more ambiguous examples than examples")
    check(not math.isnan(estimate.low) and not math.isnan(estimate.high), "bounds that are numbers")
    if estimate.unit in ("proportion", "area"):
        check(estimate.k is None or estimate.k <= estimate.n, "no more hits than examples")
        check(all(math.isnan(part) or 0 <= part <= 1 for part in _parts(estimate)), "proportions between 0 and 1")


def _parts(estimate: Estimate) -> tuple[float, float, float]:
    return estimate.low, estimate.value, estimate.high


def _model(model: ModelEntry) -> None:
    check(0 <= model.tolerance < math.inf, "a finite tolerance")
    if (screening := model.screening) is not None:
        check(0 <= screening.changed <= screening.decided, "no more changed verdicts than decided ones")
        check(0 <= screening.band < MOST and screening.widened >= 0, "a finite band")
        check(not screening.screened or screening.decided <= screening.screened, "no more decided than screened")


def _held_out(entry: HeldOutEntry) -> None:
    check(math.isnan(entry.perplexity) or entry.perplexity >= 0, "a perplexity of at least 0")


def _inheritance(entry: InheritanceEntry) -> None:
    check(0 <= entry.p_value <= 1, "a p-value between 0 and 1")


def _risk(entry: RiskEntry) -> None:
    check(0 <= entry.threshold <= 1, "a threshold between 0 and 1")
    check(entry.positives <= entry.fitted_to, "no more memorized examples than examples")
    check(_ascend(entry.edges) and all(0 <= edge <= 1 for edge in entry.edges), "ascending edges between 0 and 1")
    check(math.isfinite(entry.expected_memorized.value), "a finite number of examples that will be memorized")


def _bin(reliability: Bin) -> None:
    shares = (reliability.expected, reliability.low, reliability.high, reliability.observed)
    check(0 <= reliability.lower < reliability.upper <= 1, "edges between 0 and 1")
    check(all(0 <= share <= 1 for share in shares), "shares between 0 and 1")


def _distributions(entry: DistributionsEntry) -> None:
    check(_ascend(entry.edges), "ascending edges")
    for model in entry.models.values():
        check(all(0 < perplexity < math.inf for perplexity in model.perplexity), "finite perplexities above 0")


def _confirmation(entry: ConfirmationEntry) -> None:
    tolerances = (entry.claimed_tolerance, entry.implied_tolerance, entry.greatest_difference)
    check(all(tolerance is None or 0 <= tolerance < MOST for tolerance in tolerances), "tolerances in logits")


def _repetition(repetition: RepetitionBin) -> None:
    check(repetition.least <= repetition.most, "a bin that does not end before it begins")


def _examples(entry: ExamplesEntry) -> None:
    check(all(risk is None or 0 <= risk <= 1 for risk in entry.risk), "risks between 0 and 1")


def _ascend(edges: tuple[float, ...]) -> bool:
    return all(math.isfinite(edge) for edge in edges) and all(lower < upper for lower, upper in pairwise(edges))


CHECKS: dict[type, Callable[[Any], None]] = {
    Estimate: _estimate,
    ModelEntry: _model,
    HeldOutEntry: _held_out,
    InheritanceEntry: _inheritance,
    RiskEntry: _risk,
    Bin: _bin,
    DistributionsEntry: _distributions,
    ConfirmationEntry: _confirmation,
    RepetitionBin: _repetition,
    ExamplesEntry: _examples,
}
