"""What GitHub's runner reads: annotations as they were meant, commands nowhere else, summaries below its limit."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_kdmem.audit.report import Report, read_report
from pytest_kdmem.report import github, markdown
from pytest_kdmem.report.github import append_summary, neutralize_commands, workflow_commands
from pytest_kdmem.report.sanitize import sanitize
from tests.report.any_report import (
    BROKEN,
    FAILING,
    HOSTILE,
    PASSING,
    TEXT,
    gate,
    of_reports,
    rate,
    rendered,
    reports,
    saved,
    whole,
)

MIB = 1024 * 1024
UNESCAPED = {"data": ("\r", "\n", "%"), "property": ("\r", "\n", ":", ",", "%")}


class Command(NamedTuple):
    name: str
    properties: dict[str, str]
    data: str


def unescaped(text: str, kind: str) -> str:
    for sign in UNESCAPED[kind]:
        text = text.replace(f"%{ord(sign):02X}", sign)
    return text


def read(line: str) -> Command | None:
    """A line as the runner reads it: colons after blanks, or else ``##[`` anywhere."""
    known = re.match(r"\s*::([^\s:]*)(?: ((?:(?!::).)*))?::(.*)", line, re.DOTALL)
    if known is not None:
        pairs = [pair.partition("=") for pair in (known[2] or "").strip().split(",") if pair]
        return Command(
            known[1], {key: unescaped(value, "property") for key, _, value in pairs}, unescaped(known[3], "data")
        )
    old = re.search(r"##\[([^\]\s]*)([^\]]*)\](.*)", line, re.DOTALL)
    return None if old is None else Command(old[1], {}, old[3])


def commands(text: str) -> list[Command | None]:
    return [read(line) for line in re.split("\r\n|\r|\n", text)[:-1]]


def test_a_gate_that_failed_is_an_error_at_its_line() -> None:
    text = rendered(workflow_commands, whole(gates=(PASSING, FAILING), not_run=()))
    assert text == (
        "::error file=audits/test_a.py,line=12,title=fail%3A test_student_recites_little::"
        "memorization rate of student 1.90%25 [≤ 2.78%25] (19 of 1 000) > 1.00%25"
        f"%0A{FAILING.next_step}%0A$ {FAILING.command}\n"
    )


def test_where_no_place_is_told_there_is_none() -> None:
    (found,) = commands(rendered(workflow_commands, whole(gates=(BROKEN,), not_run=())))
    assert found == Command("error", {"title": "error: test_broken"}, BROKEN.reason)


def test_gates_not_run_are_a_warning() -> None:
    missing = tuple(f"a.py::test_{at}" for at in range(7))
    (found,) = commands(rendered(workflow_commands, whole(gates=(PASSING,), not_run=missing)))
    named = ", ".join(missing[:5])
    assert found == Command("warning", {"title": "memorization audit"}, f"7 gates not run: {named}, …")


def test_all_that_passes_is_no_annotation() -> None:
    assert rendered(workflow_commands, whole(gates=(PASSING,), not_run=())) == ""


@pytest.mark.parametrize("failed", [1, 10, 11, 37])
def test_no_more_errors_than_github_shows_and_the_last_says_how_many_more(failed: int) -> None:
    gates = tuple(gate(f"test_{at}", rate(19, 1000), "<=", 0.01) for at in range(failed))
    found = commands(rendered(workflow_commands, whole(gates=gates[:5]), whole(name="b", gates=gates[5:], not_run=())))
    errors = [one for one in found if one is not None and one.name == "error"]
    assert len(errors) == min(failed, 10)
    told = [one.properties["title"] for one in errors if "line" in one.properties]
    assert told == [f"fail: test_{at}" for at in range(failed if failed <= 10 else 9)]
    assert (errors[-1].data == f"{failed - 9} more gates did not pass") == (failed > 10)


@given(TEXT, TEXT, TEXT, TEXT, st.integers(0, 10**6))
@settings(max_examples=300)
def test_an_annotation_is_one_line_whatever_is_in_it(name: str, reason: str, path: str, step: str, line: int) -> None:
    one = replace(FAILING, name=name, reason=reason, path=path, next_step=step, command="", line=line)
    (found,) = commands(rendered(workflow_commands, whole(gates=(one,), not_run=())))
    assert found is not None
    place = {"file": sanitize(path), "line": str(max(1, line))} if path else {}
    assert found.properties == place | {"title": sanitize(f"fail: {name}", 200).rstrip()}
    assert found.data == "\n".join(sanitize(said, 1000) for said in (reason, step) if said)


@given(reports())
@of_reports
def test_every_line_is_a_command_of_ours(report: Report) -> None:
    text = workflow_commands(report)
    text.encode()
    found = commands(text)
    assert {one.name for one in found if one is not None} <= {"error", "warning"}
    assert None not in found
    assert len(found) == min(10, len(report.failed)) + any(audit.not_run for audit in report.audits)


@saved
def test_saved_reports_are_annotated(path: Path) -> None:
    report = read_report(path)
    assert [one.data.splitlines()[0] for one in commands(workflow_commands(report)) if one] == [
        one.reason for one in report.failed
    ]


@pytest.mark.parametrize(
    "text",
    [
        "::error::x", "  ::set-env name=a::b", "a\n::error::x", "a\r::error::x", "a\r\n \t::error::x", "##[error]x",
        "a ##[add-mask]b", "\u3000::error::x", "\x0b::error::x", "\x85::error::x", "\n\n::stop-commands::x",
        ":::error::x::y", "##vso[task.setvariable variable=a]b", "##teamcity[x]",
    ],
)  # fmt: skip
def test_no_line_of_a_log_is_a_command(text: str) -> None:
    assert_no_command(neutralize_commands(text))


def assert_no_command(shown: str) -> None:
    for line in re.split("\r\n|\r|\n", shown):
        assert not line.lstrip().startswith("::")
        assert not re.search(r"##\w*\[", line)
        assert read(line) is None


@given(
    st.lists(
        st.sampled_from((*HOSTILE, ":", "::", "#", "##", "[", " ", "\t", "\n", "\r", "error", "\u00a0")), max_size=8
    )
)
@settings(max_examples=1000)
def test_whatever_is_in_a_log_no_line_is_a_command(parts: list[str]) -> None:
    text = "".join(parts)
    shown = neutralize_commands(text)
    assert_no_command(shown)
    assert shown.replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize("text", ["a.py::test_x passed", "std::vector", "# a [b]", "## [x]", "a: b\nc :: d", ""])
def test_what_is_no_command_stays_as_it_is(text: str) -> None:
    assert neutralize_commands(text) == text


def test_a_log_of_ten_megabytes_is_no_matter() -> None:
    for sign in ("\n", " ", ":", "#", "\r "):
        neutralize_commands(sign * (10_000_000 // len(sign)))


def test_a_summary_is_appended_to_what_stands_there(tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    assert append_summary(Report((whole(),)), path) == ""
    assert path.read_text() == rendered(markdown.render, whole())
    path.write_text("<details>before")
    assert append_summary(Report((whole(),)), path) == ""
    assert path.read_text() == "<details>before\n\n" + rendered(markdown.render, whole())


@pytest.mark.parametrize("present", [0, 500_000, MIB - 100_000, MIB - 17_000, MIB - 1000, MIB, 2 * MIB])
def test_the_whole_file_stays_below_the_limit(tmp_path: Path, present: int) -> None:
    path = tmp_path / "summary.md"
    path.write_bytes(b"x" * present)
    many = whole(gates=tuple(replace(FAILING, name=f"test_{at}", reason="ä" * 1900) for at in range(400)))
    said = append_summary(Report((many,)), path)
    written = path.stat().st_size - present
    assert path.stat().st_size < MIB or written == 0
    assert (written == 0) == bool(said)
    assert written > 0 or present > MIB - 20_000
    if said:
        assert said.endswith(".")
        assert str(path) in said


@pytest.mark.parametrize("name", ["", "no/such/folder/s.md", "a\0b", "x" * 5000, "\ud800"])
def test_a_summary_that_cannot_be_written_is_a_sentence(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    said = append_summary(Report((whole(),)), path)
    if not path.name.startswith("\ud800"):
        assert re.fullmatch(r"The audit's summary was to be appended to [^\n]*, which is not possible \(.*\)\.", said)
    said.encode()


def test_the_limit_leaves_room_for_others() -> None:
    assert github.MOST_BYTES < MIB
