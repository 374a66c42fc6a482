"""The figures of an audit under the names that trackers show, and what identifies it; no text is among them."""

from __future__ import annotations

import math
import re

from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.specs.figure_names import GATES_FAILED, RATE, figures_of

# What no tracker takes in a name.
FOREIGN = re.compile(r"[^\w.\- ]", re.ASCII)
NO_WORD = re.compile(r"\W+", re.ASCII)


def audit_figures(audit: AuditResult) -> dict[str, float]:
    """Every figure of an audit with its bounds, by name; those that are not finite are left out."""
    figures: dict[str, float] = {}
    for role, rate in audit.memorization.items():
        figures |= figures_of(RATE, rate, FOREIGN.sub("_", role))
    if audit.inheritance is not None:
        figures |= figures_of("inheritance_ratio", audit.inheritance.ratio)
        figures |= figures_of("reduction", audit.inheritance.reduction)
    if audit.risk is not None:
        figures |= figures_of("predicted_share_at_risk", audit.risk.share_at_risk)
    for figure in audit.figures:
        if figure.family == "canaries":
            name = NO_WORD.sub("_", f"canary {figure.label}".lower())
            figures |= figures_of(name, figure.estimate, FOREIGN.sub("_", figure.subject))
    figures[GATES_FAILED] = float(len(audit.failed))
    return {name: figure for name, figure in figures.items() if math.isfinite(figure)}


def audit_parameters(audit: AuditResult) -> dict[str, str]:
    """Digests of models and training set, versions, and the name of the audit."""
    parameters = {f"kdmem/{FOREIGN.sub('_', role)}/digest": model.digest for role, model in audit.models.items()}
    if audit.training_set is not None:
        parameters["kdmem/training_set/digest"] = audit.training_set.digest
    parameters |= {f"kdmem/versions/{name}": version for name, version in audit.versions.items()}
    return {"kdmem/audit": audit.name or ".", **parameters}
