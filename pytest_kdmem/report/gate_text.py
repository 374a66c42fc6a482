"""How a gate reads in every report: what it measured, how its comparison came out, and which gates share a line."""

from __future__ import annotations

import math
import operator as operators
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from pytest_kdmem.auditing.messages import OPPOSITE_SIGN
from pytest_kdmem.auditing.schema import Gate
from pytest_kdmem.base.text import count
from pytest_kdmem.metrics.direction import MIRRORED, Operator
from pytest_kdmem.metrics.estimate import SIGN, Estimate
from pytest_kdmem.report.sentences import compared_nothing

# What the metric of a rate under a sampler holds between the number of samples and the sampler.
EXTRACTABLE = "-extractable rate "
PART_KINDS = {"group": ("group", "groups"), "copies": ("tier of copies", "tiers of copies")}
HOLDS: dict[Operator, Callable[[float, float], bool]] = {
    "<=": operators.le,
    "<": operators.lt,
    ">=": operators.ge,
    ">": operators.gt,
}


def gate_title(gate: Gate) -> str:
    """Return the name of a gate's test in words."""
    return gate.name.removeprefix("test_").replace("_", " ")


def measured_text(gate: Gate) -> str:
    """Return which metric of which model, over which examples, a gate compared; empty if it compared nothing.

    The name of a gate's test is free, and may say something else.
    """
    estimate = gate.estimate
    if estimate is None:
        return ""
    measured = f"{estimate.metric} of {estimate.on_set(_subject(estimate))}"
    if estimate.part is None:
        return measured
    if estimate.parts:
        return f"{measured}, in each {PART_KINDS[estimate.part][0]}"
    name = part_name(estimate)
    if estimate.part == "group":
        return f"{measured}, examples of {name}"
    tier = name.removesuffix(" copies").removesuffix(" copy")
    return f"{measured}, examples that stand {'once' if tier == '1' else f'{tier} times'}"


def measured_below(gate: Gate) -> str:
    """Return what stands below a gate whose reason is shown: what was measured, unless the reason begins with it."""
    is_told = gate.outcome != "pass" and gate.estimate is not None and gate.reason.startswith(gate.estimate.name)
    return "" if is_told else measured_text(gate)


def other_set_text(gate: Gate) -> str:
    """Return which set a gate is about; empty if that is the audit's training set."""
    if gate.estimate is None:
        return ""
    return gate.estimate.set_name or _subject(gate.estimate).partition(" on ")[2]


def comparison_text(gate: Gate) -> str:
    """Return the figure that a gate compared, its bound if that decides, and its threshold; its outcome if none.

    The sign between them is true of the two numbers: what exceeds its limit reads 2.54% (127 of 5 000) > 0.10%.
    """
    if gate.estimate is None or gate.operator is None or gate.threshold is None:
        return gate.reason if compared_nothing(gate) else gate.outcome
    estimate, threshold, operator = gate.estimate, gate.threshold, gate.operator
    bound = estimate.bound_for(operator)
    limit = threshold.bound_for(MIRRORED[operator]) if isinstance(threshold, Estimate) else threshold
    if math.isnan(estimate.value) or math.isnan(limit):
        return f"undefined ({estimate.counts})"
    if isinstance(threshold, Estimate) and gate.outcome == "pass" and not HOLDS[operator](bound, limit):
        # The two models were compared example by example, which shows more than the bounds of each alone.
        bound, limit = estimate.value, threshold.value
    if isinstance(threshold, Estimate) and gate.outcome != "pass" and HOLDS[operator](bound, limit):
        sign = f"not shown {SIGN[operator]}"  # the comparison example by example needs more of them
    else:
        sign = SIGN[operator] if HOLDS[operator](bound, limit) else OPPOSITE_SIGN[operator]
    left = f"{estimate.format_value(estimate.value)} ({_counts(estimate)})"
    if bound != estimate.value:
        left += f", bound {estimate.format_value(bound)}"
    return f"{left} {sign} {_limit_text(estimate, threshold, limit)}"


def _limit_text(estimate: Estimate, threshold: Estimate | float, limit: float) -> str:
    """Return what a figure was held against: a number, or a figure with its examples or with the bound that decides."""
    shown = f"{estimate.format_value(limit)}{estimate.unit_label}"
    if not isinstance(threshold, Estimate):
        return shown
    other = _subject(threshold)
    if threshold.set_name != estimate.set_name:
        other = threshold.on_set(other)
    shown += f" of {other}" * (other != _subject(estimate))
    counts = _counts(replace(threshold, part=None, too_short_copies=0))
    if limit == threshold.value:
        return f"{shown} ({counts})"
    return f"bound {shown} ({threshold.format_value(threshold.value)}, {counts})"


def _counts(estimate: Estimate) -> str:
    """Return the examples that a figure rests on.

    What of a whole set was too short to be measured is told once, and not of each of its gates.
    """
    return (replace(estimate, too_short=0) if estimate.part is None else estimate).counts


def _subject(estimate: Estimate) -> str:
    return (
        estimate.subject.removesuffix(f" on {part_name(estimate)}") if estimate.part is not None else estimate.subject
    )


def part_name(estimate: Estimate) -> str:
    """Return the name of the group or tier that an estimate measures; empty of a whole set."""
    if estimate.part is None:
        return ""
    # The first reports hold the name in the subject alone.
    return estimate.part_name or estimate.subject.rpartition(" on ")[2]


def scope_text(gate: Gate) -> str:
    """Return which part of the training set, or which sampler, a gate is about; empty of a whole set as it is decoded.

    Of a gate over all groups or tiers it says how many were compared, and the worst of them.
    """
    estimate = gate.estimate
    if estimate is None:
        return ""
    if EXTRACTABLE in estimate.metric:
        return estimate.metric.replace(EXTRACTABLE, "-extractable ")
    if estimate.part is None:
        return ""
    if not estimate.parts:
        return part_name(estimate)
    kinds = PART_KINDS[estimate.part]
    of_all = f"of {count(estimate.parts)} {kinds[estimate.parts != 1]}, "
    if gate.outcome == "pass":
        return f"worst {of_all}{part_name(estimate)}"
    # The first reports have a gate for each part that does not hold, and do not count them.
    not_held = f"{count(gate.parts_not_held)} " * bool(gate.parts_not_held)
    return f"{not_held}{of_all}{'worst ' * (gate.parts_not_held > 1)}{part_name(estimate)}"


def scoped_comparison(gate: Gate) -> str:
    """Return what a gate compared in one line: the part of the set or the sampler that it is about, and the figures."""
    scope = scope_text(gate)
    return f"{scope}: {comparison_text(gate)}" if scope else comparison_text(gate)


def further_parts(gate: Gate, most: int | None = None) -> list[str]:
    """Return a line for each further part of the set that does not hold, and one that counts those not shown.

    Args:
        gate: The gate.
        most: Greatest number of parts; None shows all that the report has.
    """
    shown = gate.further_parts[:most]
    lines = [
        f"{part_name(part.estimate)}: "
        + comparison_text(replace(gate, estimate=part.estimate, threshold=part.threshold, outcome=part.outcome))
        for part in shown
    ]
    rest = gate.parts_not_held - 1 - len(shown)
    return [*lines, *[f"and {count(rest)} more"] * (rest > 0)]


@dataclass(frozen=True)
class ShownGate:
    """A gate as reports show it.

    Attributes:
        gate: The gate, or the first of several that one error kept from being evaluated.
        titles: Names of these in words; empty of one gate.
    """

    gate: Gate
    titles: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Name of the gate in words, or how many could not be evaluated."""
        return f"{count(len(self.titles))} gates could not be evaluated" if self.titles else gate_title(self.gate)


def shown_gates(gates: Iterable[Gate]) -> list[ShownGate]:
    """Return gates in their order: what one error stopped once, and no advice and command twice."""
    by_error: dict[object, list[Gate]] = {}
    for number, gate in enumerate(gates):
        is_error = gate.outcome == "error" and gate.estimate is None
        by_error.setdefault((gate.reason, gate.next_step) if is_error else number, []).append(gate)
    first = without_repeated_advice(stopped[0] for stopped in by_error.values())
    return [
        ShownGate(gate, tuple(map(gate_title, stopped)) if len(stopped) > 1 else ())
        for gate, stopped in zip(first, by_error.values(), strict=True)
    ]


def without_repeated_advice(gates: Iterable[Gate]) -> list[Gate]:
    """Return gates in their order, of which none repeats the advice and the command of an earlier one."""
    title_by_advice: dict[tuple[str, str], str] = {}
    shown = []
    for gate in gates:
        advice = gate.next_step, gate.command
        if any(advice) and advice in title_by_advice:
            gate = replace(gate, next_step=f"Advice as for gate “{title_by_advice[advice]}”.", command="")
        title_by_advice.setdefault(advice, gate_title(gate))
        shown.append(gate)
    return shown
