"""Writes an audit's results in the form of ``.eval_results/*.yaml``, which the hub shows for its benchmarks.

An entry names a data set of the hub, one of the tasks that this benchmark defines, and a value. Nothing here claims
that anyone but the audit's owner has verified it: an entry has no token.
"""

from __future__ import annotations

import math
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.base.paths import exists
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.errors.harmless import named
from pytest_kdmem.report.model_card import audited_model, training_metrics
from pytest_kdmem.report.sanitize import sanitize
from pytest_kdmem.specs.locations import HUB_ID

FILE = Path(".eval_results") / "pytest-kdmem.yaml"
# What an entry says of a value, in this order.
NOTED = ("low", "high", "confidence", "k", "n", "ambiguous")


def check_file(path: Path, benchmark: str | None) -> None:
    """Check the benchmark, and that no results of an earlier audit stay beside a card that is written anew.

    Raises:
        SpecError: The benchmark is no id of the hub, or is not given although the file is there.
    """
    if benchmark is None and exists(path):
        raise SpecError(
            f"The benchmark of the results in {path} was expected, which are of an earlier audit; name it by"
            " --benchmark, or remove the file."
        )
    if benchmark is not None and not HUB_ID.fullmatch(benchmark):
        raise SpecError(f"--benchmark must be a data set of the hub, owner/name; found {named(benchmark)}.")


def eval_results(audit: AuditResult, benchmark: str) -> str:
    """Return the student's results over the training set as YAML, an entry for each figure.

    Args:
        audit: Result of the audit.
        benchmark: Hub id of the data set that the training set is.

    Raises:
        DataError: Nothing was measured over the training set.
    """
    measured = [metric for metric in training_metrics(audit, audited_model(audit)) if metric is not None]
    if audit.training_set is None or not measured:
        raise DataError("A measured figure of the student over the training set was expected in the audit.")
    date = _date(audit.created)
    entries = [
        {
            "dataset": {"id": benchmark, "task_id": metric["type"]},
            "value": metric["value"],
            **({"date": date} if date else {}),
            "notes": _notes(metric, audit),
        }
        for metric in measured
    ]
    text: str = yaml.safe_dump(entries, sort_keys=False, allow_unicode=True, width=math.inf)
    return text


def _notes(metric: dict[str, Any], audit: AuditResult) -> str:
    """Return what the value was measured on, by which anyone with the data can measure it again."""
    assert audit.training_set is not None
    bounds = ", ".join(f"{name} {metric['args'][name]:g}" for name in NOTED if _is_number(metric["args"].get(name)))
    lengths = [f"{name}-tokens {audit.settings.get(f'{name}_tokens')}" for name in ("prefix", "suffix")]
    version = f"pytest-kdmem {audit.versions.get('pytest-kdmem', '')}".strip()
    parts = [f"{metric['name']}: {bounds}", *lengths, f"digest of the token ids {audit.training_set.digest}", version]
    return sanitize("; ".join(parts))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _date(created: str) -> str:
    """Return when the audit was made, or an empty string if the report does not hold it in the form of ISO 8601."""
    try:
        return datetime.fromisoformat(created).isoformat(timespec="seconds")
    except ValueError:
        return ""
