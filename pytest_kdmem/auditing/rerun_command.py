"""Chooses the command to run next about a gate that did not pass."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import replace

from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema import Gate
from pytest_kdmem.auditing.verdict import examples_needed
from pytest_kdmem.canaries.estimate import CANARY
from pytest_kdmem.metrics.estimate import SHARE_AT_RISK, Estimate

# Factor by which to enlarge a sample whose point estimate meets the threshold while its bound does not.
LARGER_SAMPLE = 4
# A report of its own, so that the report of the whole audit is not overwritten.
SHOW_EXAMPLES = ["--kdmem-report=gate.html"]


def with_commands(result: AuditResult, options: Sequence[str], root: str = ".") -> AuditResult:
    """Add a command to each gate that did not pass.

    Args:
        result: The result of an audit.
        options: Command line options of this run, which the next run repeats.
        root: Path from the folder where the command will be run to the folder where node ids begin.
    """
    gates = (
        gate if gate.outcome == "pass" else replace(gate, command=next_command(gate, result, options, root))
        for gate in result.gates
    )
    return replace(result, gates=tuple(gates))


def next_command(gate: Gate, result: AuditResult, options: Sequence[str], root: str = ".") -> str:
    """The command that would decide an undecided gate or show why it failed, quoted for a shell."""
    if gate.metric == SHARE_AT_RISK and gate.outcome == "fail" and (prefilter := _prefilter_command(result)):
        return shlex.join(prefilter)
    added = _added_options(gate, result)
    replaced = {option.split("=")[0] for option in added}
    kept = [option for option in options if option.split("=")[0] not in replaced]
    nodeid = gate.nodeid if root == "." else f"{root}/{gate.nodeid}"
    return shlex.join(["pytest", nodeid, *kept, *added])


def _prefilter_command(result: AuditResult) -> list[str]:
    """The command that cleans the training set; empty if the report does not hold all that it takes."""
    teacher, baseline = result.models.get("teacher"), result.models.get("baseline")
    if result.training_set is None or teacher is None or baseline is None:
        return []
    models = [f"--teacher={teacher.source}", f"--baseline={baseline.source}"]
    return ["kdmem", "prefilter", result.training_set.source, *models, "--out=cleaned"]


def _added_options(gate: Gate, result: AuditResult) -> list[str]:
    estimate, operator, threshold = gate.estimate, gate.operator, gate.threshold
    if gate.outcome == "error" or estimate is None or operator is None or threshold is None:
        return []
    if estimate.metric.startswith(CANARY):  # no sample and no example tells more of them
        return []
    if math.isnan(estimate.value):
        return SHOW_EXAMPLES
    if not isinstance(threshold, Estimate) and (needed := examples_needed(estimate, operator, threshold)):
        return [_sample_option(needed, estimate, result)] if math.isfinite(needed) else SHOW_EXAMPLES
    limit = threshold.value if isinstance(threshold, Estimate) else threshold
    value_meets_limit = estimate.value <= limit if operator in ("<=", "<") else estimate.value >= limit
    if not value_meets_limit:
        return SHOW_EXAMPLES
    if not estimate.exhaustive:
        return [_sample_option(LARGER_SAMPLE * estimate.n, estimate, result)]
    return ["--kdmem-dtype=float32", "--kdmem-confirm"] if estimate.ambiguous else SHOW_EXAMPLES


def _sample_option(needed: float, estimate: Estimate, result: AuditResult) -> str:
    """The sample size that gives a denominator of ``needed``; that of a share is smaller than the sample."""
    data = result.other_sets.get(estimate.subject, result.training_set)
    drawn = max(data.distinct if data is not None else 0, estimate.n)
    return f"--kdmem-sample={math.ceil(needed * drawn / estimate.n)}"
