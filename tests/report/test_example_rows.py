"""Rows of examples are sorted as a plain sort by kind, risk and position does, and each is shown by its filters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema_examples import ExamplesEntry, ModelColumns
from pytest_kdmem.report.example_groups import MAX_GROUPS
from pytest_kdmem.report.example_rows import KINDS_FIRST, ModelCell, first_example_rows
from tests.report.audits import full_audit, risk_entry

N, THRESHOLD = 60, 0.5


@pytest.fixture(scope="module")
def audit() -> AuditResult:
    """An audit whose examples are drawn: what is recited, what is ambiguous, and risks, some of them equal."""
    generator = np.random.default_rng(0)

    def columns(share: float) -> ModelColumns:
        memorized, ambiguous = (tuple((generator.random(N) < rate).astype(int).tolist()) for rate in (share, 0.1))
        generated = tuple("x" if drawn < 0.2 else None for drawn in generator.random(N))
        return ModelColumns(memorized, ambiguous, (0.5,) * N, (None,) * N, (None,) * N, generated)

    entry = ExamplesEntry(
        example_id=tuple(range(100, 100 + N)),
        digest=tuple(f"{index:032x}" for index in range(N)),
        copies=tuple(generator.integers(1, 4, N).tolist()),
        zlib_bytes=(90,) * N,
        risk=tuple(None if drawn < 0.1 else round(drawn, 1) for drawn in generator.random(N)),
        models={role: columns(share) for role, share in (("teacher", 0.5), ("baseline", 0.2), ("student", 0.3))},
        prefix=("a",) * N,
        suffix=("b",) * N,
    )
    whole = full_audit(examples=entry, risk=replace(risk_entry(), threshold=THRESHOLD))
    assert whole.inheritance is not None
    return replace(whole, inheritance=replace(whole.inheritance, inherited_examples=(105, 117, 130)))


def kinds_of(audit: AuditResult, index: int) -> list[str]:
    """The filters of one example, by their definitions."""
    entry = audit.examples
    assert entry is not None
    memorized = {role: bool(columns.memorized[index]) for role, columns in entry.models.items()}
    risk = entry.risk[index]
    holds = {
        "inherited": entry.example_id[index] in (105, 117, 130),
        "easy": all(memorized.values()),
        "student": memorized["student"],
        "recited": any(memorized.values()),
        "ambiguous": any(columns.ambiguous[index] for columns in entry.models.values()),
        "generated": any(columns.generated[index] is not None for columns in entry.models.values()),
        "risk": risk is not None and risk >= THRESHOLD,
    }
    return [kind for kind, is_held in holds.items() if is_held]


@pytest.mark.parametrize("most", [7, N, 1000])
def test_the_most_telling_examples_come_first(audit: AuditResult, most: int) -> None:
    entry = audit.examples
    assert entry is not None

    def place(index: int) -> tuple[int, float, int]:
        first = next((at for at, kind in enumerate(KINDS_FIRST) if kind in kinds_of(audit, index)), len(KINDS_FIRST))
        return first, -(entry.risk[index] or 0.0), entry.example_id[index]

    rows = first_example_rows(audit, most)
    assert [row.index for row in rows] == sorted(range(N), key=place)[:most]
    for row in rows:
        assert list(row.kinds) == kinds_of(audit, row.index)
        assert (row.example_id, row.digest) == (entry.example_id[row.index], entry.digest[row.index])
        assert (row.copies, row.risk) == (entry.copies[row.index], entry.risk[row.index])
        assert row.models == tuple(
            ModelCell(bool(columns.memorized[row.index]), bool(columns.ambiguous[row.index]), 0.5)
            for columns in entry.models.values()
        )


def test_what_two_models_recite_is_not_easy(audit: AuditResult) -> None:
    assert audit.examples is not None
    models = {role: columns for role, columns in audit.examples.models.items() if role != "baseline"}
    two = replace(audit, examples=replace(audit.examples, models=models))
    assert not any("easy" in row.kinds for row in first_example_rows(two, N))


def test_the_first_groups_of_very_many_are_named_and_the_others_counted(audit: AuditResult) -> None:
    assert audit.examples is not None
    names = tuple(f"group {number}" for number in range(MAX_GROUPS + 2))
    groups = (names[:2], names, *((),) * (N - 2))
    rows = first_example_rows(replace(audit, examples=replace(audit.examples, groups=groups)), N)
    texts = {row.index: row.groups for row in rows}
    assert texts[0] == "group 0, group 1"
    assert texts[1] == f"{', '.join(names[:MAX_GROUPS])} and 2 more"
    assert texts[2] == ""


def test_an_audit_without_examples_has_no_rows() -> None:
    assert first_example_rows(full_audit(), 9) == []
