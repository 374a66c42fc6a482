"""A gate that failed → the command to run next."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import replace

from pytest_kdmem.audit.result import AuditResult
from pytest_kdmem.audit.schema import Gate
from pytest_kdmem.audit.verdict import examples_needed
from pytest_kdmem.metrics.estimate import SHARE_AT_RISK, Estimate

LARGER = 4  # times the sample, where its point estimate meets the threshold and its bound does not


def with_commands(result: AuditResult, options: Sequence[str], root: str = ".") -> AuditResult:
    """The result with a command for each gate that failed.

    Args:
        options: what was set for this run, as it is written, so that the next run is of the same.
        root: from where the command will be run to where node ids begin.
    """
    gates = (
        gate if gate.outcome == "pass" else replace(gate, command=next_command(gate, result, options, root))
        for gate in result.gates
    )
    return replace(result, gates=tuple(gates))


def next_command(gate: Gate, result: AuditResult, options: Sequence[str], root: str = ".") -> str:
    """What decides an undecided gate, or shows which examples one failed by, quoted for a shell."""
    if gate.metric == SHARE_AT_RISK and gate.outcome == "fail" and (clean := _prefilter(result)):
        return shlex.join(clean)
    added = _deciding(gate, result)
    names = {option.split("=")[0] for option in added}
    kept = [option for option in options if option.split("=")[0] not in names]
    return shlex.join(["pytest", gate.nodeid if root == "." else f"{root}/{gate.nodeid}", *kept, *added])


def _prefilter(result: AuditResult) -> list[str]:
    roles = [result.models.get(role) for role in ("teacher", "baseline")]
    if result.training_set is None or None in roles:
        return []
    named = [f"--{role}={model.source}" for role, model in zip(("teacher", "baseline"), roles, strict=True) if model]
    return ["kdmem", "prefilter", result.training_set.source, *named, "--out=cleaned"]


def _deciding(gate: Gate, result: AuditResult) -> list[str]:
    """Options that would tell more of this gate."""
    show = ["--kdmem-report=gate.html"]  # and not over the report of the whole audit
    estimate, operator, threshold = gate.estimate, gate.operator, gate.threshold
    if gate.outcome == "error" or estimate is None or operator is None or threshold is None:
        return []
    if math.isnan(estimate.value):
        return show
    limit = threshold.value if isinstance(threshold, Estimate) else threshold
    if not isinstance(threshold, Estimate) and (needed := examples_needed(estimate, operator, threshold)):
        return [f"--kdmem-sample={_sample(needed, estimate, result)}"] if math.isfinite(needed) else show
    if not (estimate.value <= limit if operator in ("<=", "<") else estimate.value >= limit):
        return show
    if not estimate.exhaustive:
        return [f"--kdmem-sample={_sample(LARGER * estimate.n, estimate, result)}"]
    return ["--kdmem-dtype=float32", "--kdmem-confirm"] if estimate.ambiguous else show


def _sample(needed: float, estimate: Estimate, result: AuditResult) -> int:
    """Examples to draw for a denominator of ``needed``, as a share has fewer in it than were drawn."""
    data = result.other_sets.get(estimate.subject, result.training_set)
    drawn = max(data.distinct if data is not None else 0, estimate.n)
    return math.ceil(needed * drawn / estimate.n)
