"""Chooses the command to run next about a gate that did not pass."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Sequence
from dataclasses import replace

from pytest_kdmem.auditing.messages import can_be_stratum
from pytest_kdmem.auditing.prefilter_command import prefilter_command
from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema import Gate
from pytest_kdmem.auditing.verdict import examples_needed
from pytest_kdmem.metrics.estimate import SHARE_AT_RISK, Estimate

# Factor by which to enlarge a sample whose point estimate meets the threshold while its bound does not.
LARGER_SAMPLE = 4
# A report of its own, so that the report of the whole audit is not overwritten.
SHOW_EXAMPLES = ["--kdmem-report=gate.html"]
# Metrics that are lower for a student of a training set from which what is at risk was removed.
CLEANED_AWAY = ("memorization rate", "inheritance ratio", "inherited share")
# Lengths that an error recommends.
RECOMMENDED = re.compile(r"--kdmem-(?:prefix|suffix|window)-tokens=\d+\b")


def with_commands(
    result: AuditResult, options: Sequence[str], root: str = ".", written: Sequence[str] = ()
) -> AuditResult:
    """Add a command to each gate that did not pass.

    Args:
        result: The result of an audit.
        options: Command line options of this run, which the next run repeats.
        root: Path from the folder where the command will be run to the folder where node ids begin.
        written: Reports that this run writes.
    """
    gates = (
        gate if gate.outcome == "pass" else replace(gate, command=next_command(gate, result, options, root, written))
        for gate in result.gates
    )
    return replace(result, gates=tuple(gates))


def next_command(
    gate: Gate, result: AuditResult, options: Sequence[str], root: str = ".", written: Sequence[str] = ()
) -> str:
    """The command that would decide an undecided gate, show why it failed, or clean what is to be distilled.

    Returns:
        the command, quoted for a shell; empty if it would be this run's own.
    """
    if gate.metric == SHARE_AT_RISK and gate.outcome == "fail" and (prefilter := prefilter_command(result, options)):
        return shlex.join(prefilter)
    sharing = [other for other in result.gates if other.outcome == gate.outcome == "error" and _share(other, gate)]
    added = _added_options(gate, result)
    if len(sharing) > 1 and not added:
        return ""  # each of them would break again
    shows_again = added == SHOW_EXAMPLES and any(path.endswith(".html") for path in written)
    has_all = bool(added) and added != SHOW_EXAMPLES and set(added) <= set(options)
    is_alone = not added and {other.nodeid for other in result.gates} == {gate.nodeid} and not result.not_run
    if shows_again or has_all or is_alone:
        cleans = gate.outcome == "fail" and _is_cleaned_away(gate)
        return shlex.join(prefilter_command(result, options)) if cleans else ""
    replaced = {option.split("=")[0] for option in added}
    kept = [option for option in options if option.split("=")[0] not in replaced]
    tests = [gate.nodeid] if len(sharing) < 2 else dict.fromkeys(other.nodeid.split("::")[0] for other in sharing)
    paths = [nodeid if root == "." else f"{root}/{nodeid}" for nodeid in tests]
    return shlex.join(["pytest", *paths, *kept, *added])


def _share(gate: Gate, other: Gate) -> bool:
    """Whether one and the same error kept two gates from being evaluated."""
    return gate.estimate is None and other.estimate is None and gate.reason == other.reason


def _is_cleaned_away(gate: Gate) -> bool:
    """Whether a gate would hold for a student of a cleaned training set sooner: one of what a student recites."""
    estimate = gate.estimate
    return estimate is not None and estimate.metric in CLEANED_AWAY and estimate.subject not in ("teacher", "baseline")


def _added_options(gate: Gate, result: AuditResult) -> list[str]:
    estimate, operator, threshold = gate.estimate, gate.operator, gate.threshold
    if gate.outcome == "error" and estimate is None:
        return list(dict.fromkeys(RECOMMENDED.findall(gate.reason)))
    if gate.outcome == "error" or estimate is None or operator is None or threshold is None:
        return []
    if math.isnan(estimate.value):
        return [f"--kdmem-stratify={estimate.part}"] if can_be_stratum(estimate) else SHOW_EXAMPLES
    if not isinstance(threshold, Estimate) and (needed := examples_needed(estimate, operator, threshold)):
        return _more_examples(needed, estimate, result) if math.isfinite(needed) else SHOW_EXAMPLES
    limit = threshold.value if isinstance(threshold, Estimate) else threshold
    value_meets_limit = estimate.value <= limit if operator in ("<=", "<") else estimate.value >= limit
    if not value_meets_limit:
        return SHOW_EXAMPLES
    if not estimate.exhaustive:
        return _more_examples(LARGER_SAMPLE * estimate.n, estimate, result)
    return ["--kdmem-dtype=float32", "--kdmem-confirm"] if estimate.ambiguous else SHOW_EXAMPLES


def _more_examples(needed: float, estimate: Estimate, result: AuditResult) -> list[str]:
    """The options that give a denominator of ``needed``, of a group or tier by drawing more of it alone."""
    if can_be_stratum(estimate):
        return [f"--kdmem-stratify={estimate.part}", f"--kdmem-stratum-sample={math.ceil(needed)}"]
    return [_sample_option(needed, estimate, result)]


def _sample_option(needed: float, estimate: Estimate, result: AuditResult) -> str:
    """The sample size that gives a denominator of ``needed``; that of a share is smaller than the sample.

    It is no larger than the set, of which a sample of that size is the whole.
    """
    data = result.other_sets.get(estimate.subject, result.training_set)
    drawn = max(data.distinct if data is not None else 0, estimate.n)
    size = math.ceil(needed * drawn / estimate.n)
    return f"--kdmem-sample={min(size, data.examples) if data is not None and data.examples > drawn else size}"
