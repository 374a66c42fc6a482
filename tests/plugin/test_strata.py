"""Samples through the real plugin: what each group and tier holds, what was not looked at, and what reports say."""

from __future__ import annotations

import json
from typing import Any

GATES = """
def test_the_set(memorization, student):
    assert memorization(student).rate <= 0.99

def test_groups(memorization, student):
    assert memorization(student).by_group <= 0.999

def test_tiers(memorization, student):
    assert memorization(student).by_copies["1"].rate <= 0.99
"""
# The first rows are in one large group, and a rare one has a row at either end.
CUSTOMERS = ["rare", *["large"] * 18, "rare"]


def grouped(audit_project: Any, *, short: tuple[str, ...] = ()) -> None:
    texts = audit_project.cast.texts
    rows = [{"text": text, "customer": customer} for text, customer in zip(texts, CUSTOMERS, strict=True)]
    rows += [{"text": texts[1], "customer": "rare"}]  # a copy, in another group than the first
    rows += [{"text": texts[0].split()[0], "customer": name} for name in short]
    (audit_project.path / "grouped.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    audit_project.gates(GATES)


def arguments(*further: str) -> tuple[str, ...]:
    settings = ("training-set=grouped.jsonl", "group-column=customer", "report=audit.json", *further)
    return tuple(f"--kdmem-{setting}" for setting in settings)


def test_a_stratified_sample_looks_at_all_of_a_small_group_and_rates_of_the_set_stay(audit_project: Any) -> None:
    grouped(audit_project)
    audit_project.run(*arguments("sample=4"))
    plain = audit_project.report("audit.json")
    result = audit_project.run(*arguments("sample=4", "stratify=group", "stratum-sample=6"))
    report, recited = audit_project.report("audit.json"), audit_project.cast.recited_by("student")
    figures = {figure.key: figure for figure in report.figures}
    rare, large = (figures["group", "student", name].estimate for name in ("rare", "large"))
    # The text of the copy is of both groups.
    assert (rare.k, rare.n, rare.low, rare.high) == (len(recited & {0, 1, 19}), 3, rare.value, rare.value)
    assert large.n == 6
    assert large.low < large.value < large.high or large.value in (0, 1)
    assert 0.9749 < large.confidence < 0.9751
    for own, without in ((report.memorization["student"], plain.memorization["student"]),):
        assert (own.k, own.n, own.low, own.high) == (without.k, without.n, without.low, without.high)
    notes = [figure.note for figure in report.figures if figure.family == "group" and figure.note]
    assert "at least 6 examples of each of 2 groups were drawn" in notes[0]
    assert report.training_set.stratified == "by group, at least 6 of each"
    result.stdout.fnmatch_lines(["*by group, at least 6 of each*"])


def test_what_strata_take_beyond_a_sample_is_confirmed_as_well(audit_project: Any) -> None:
    grouped(audit_project)
    audit_project.run(*arguments("sample=4", "stratify=group", "stratum-sample=6"), "--kdmem-confirm")
    report = audit_project.report("audit.json")
    beyond = report.confirmation["student, strata beyond the sample"]
    drawn = {figure.label: figure.estimate.n for figure in report.figures if figure.family == "group"}
    assert report.confirmation["student"].checked == 4
    assert beyond.checked > 0
    # One example is of both groups.
    assert 4 + beyond.checked in (sum(drawn.values()), sum(drawn.values()) - 1)


def test_tiers_of_copies_are_strata_as_well(audit_project: Any) -> None:
    grouped(audit_project)
    audit_project.gates("def test_tiers(memorization, student):\n    assert memorization(student).by_copies <= 1.0\n")
    result = audit_project.run(*arguments("sample=2", "stratify=copies", "stratum-sample=1000"))
    assert result.ret == 0
    figures = {figure.label: figure.estimate for figure in audit_project.report("audit.json").figures
               if figure.family == "copies"}  # fmt: skip
    recited = audit_project.cast.recited_by("student")
    assert {tier: (rate.k, rate.n, rate.exhaustive) for tier, rate in figures.items()} == {
        "1": (len(recited - {1}), 19, True), "2-3": (len(recited & {1}), 1, True),
    }  # fmt: skip


def test_a_group_that_a_sample_does_not_hold_is_named_and_decides_nothing(audit_project: Any) -> None:
    grouped(audit_project)
    audit_project.gates("def test_groups(memorization, student):\n    assert memorization(student).by_group <= 1.0\n")
    result = audit_project.run(*arguments("sample=1"))
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*1 of 2 groups of column 'customer'*--kdmem-stratify group*"])
    [gate] = [gate for gate in audit_project.report("audit.json").gates if gate.estimate is not None]
    assert gate.outcome == "inconclusive"
    assert gate.estimate.subject.startswith("student on customer ")
    assert "--kdmem-stratify" in gate.next_step


def test_a_group_of_which_all_rows_are_too_short_is_named_and_decides_nothing(audit_project: Any) -> None:
    grouped(audit_project, short=("brief", "rare"))
    audit_project.gates("def test_groups(memorization, student):\n    assert memorization(student).by_group <= 1.0\n")
    result = audit_project.run(*arguments())
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*2 of 3 groups of column 'customer'*none of brief, whose rows are all too short*"])
    [gate] = [gate for gate in audit_project.report("audit.json").gates if gate.estimate is not None]
    assert (gate.estimate.subject, gate.estimate.too_short) == ("student on customer brief", 1)
    audit_project.gates(
        "def test_groups(memorization, student):\n    assert memorization(student).by_group.looked_at <= 1.0\n"
    )
    assert audit_project.run(*arguments()).ret == 0


def test_groups_are_no_strata_without_their_column(audit_project: Any) -> None:
    grouped(audit_project)
    result = audit_project.run("--kdmem-training-set=grouped.jsonl", "--kdmem-sample=4", "--kdmem-stratify=group")
    assert result.ret != 0
    result.stdout.fnmatch_lines(["*A column of groups was expected*--kdmem-group-column*"])
