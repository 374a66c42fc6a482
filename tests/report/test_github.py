"""GitHub's runner reads annotations as they are meant, reads no other commands, and gets summaries below its limit."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_kdmem.auditing.report import Report
from pytest_kdmem.errors.harmless import without_commands
from pytest_kdmem.report import markdown
from pytest_kdmem.report.github import MAX_SUMMARY_BYTES, append_summary, workflow_commands
from pytest_kdmem.report.sanitize import sanitize
from tests.report.any_report import HOSTILE, TEXT, random_reports
from tests.report.audits import (
    BROKEN,
    FAILING,
    PASSING,
    each_saved_report,
    full_audit,
    gate,
    rate,
    render_audits,
    saved_report,
)

MIB = 1024 * 1024
ESCAPES = {"data": ("\r", "\n", "%"), "property": ("\r", "\n", ":", ",", "%")}


class Command(NamedTuple):
    name: str
    properties: dict[str, str]
    data: str


def unescape(text: str, kind: str) -> str:
    for character in ESCAPES[kind]:
        text = text.replace(f"%{ord(character):02X}", character)
    return text


def parse_line(line: str) -> Command | None:
    """The command that the runner reads in a line: after blanks and two colons, or after ``##[`` anywhere."""
    match = re.match(r"\s*::([^\s:]*)(?: ((?:(?!::).)*))?::(.*)", line, re.DOTALL)
    if match is not None:
        pairs = [pair.partition("=") for pair in (match[2] or "").strip().split(",") if pair]
        properties = {key: unescape(value, "property") for key, _, value in pairs}
        return Command(match[1], properties, unescape(match[3], "data"))
    old_form = re.search(r"##\[([^\]\s]*)([^\]]*)\](.*)", line, re.DOTALL)
    return None if old_form is None else Command(old_form[1], {}, old_form[3])


def parse_log(text: str) -> list[Command]:
    """The commands of a log in which every line is a command."""
    commands = [parse_line(line) for line in re.split("\r\n|\r|\n", text)[:-1]]
    assert None not in commands
    return [command for command in commands if command is not None]


def test_a_failed_gate_is_an_error_at_its_line() -> None:
    text = render_audits(workflow_commands, full_audit(gates=(PASSING, FAILING), not_run=()))
    assert text == (
        "::error file=audits/test_a.py,line=12,title=fail%3A test_student_recites_little::"
        "memorization rate of student 1.90%25 [≤ 2.78%25] (19 of 1 000) > 1.00%25"
        f"%0A{FAILING.next_step}%0A$ {FAILING.command}\n"
    )


def test_a_gate_without_a_path_is_an_error_without_a_place() -> None:
    (command,) = parse_log(render_audits(workflow_commands, full_audit(gates=(BROKEN,), not_run=())))
    assert command == Command("error", {"title": "error: test_broken"}, BROKEN.reason)


def test_gates_that_were_not_run_are_a_warning() -> None:
    not_run = tuple(f"a.py::test_{index}" for index in range(7))
    (command,) = parse_log(render_audits(workflow_commands, full_audit(gates=(PASSING,), not_run=not_run)))
    named = ", ".join(not_run[:5])
    assert command == Command("warning", {"title": "memorization audit"}, f"7 gates not run: {named}, …")


def test_passing_gates_give_no_annotation() -> None:
    assert render_audits(workflow_commands, full_audit(gates=(PASSING,), not_run=())) == ""


@pytest.mark.parametrize("failed", [1, 10, 11, 37])
def test_there_are_no_more_errors_than_github_shows_and_the_last_counts_the_rest(failed: int) -> None:
    gates = tuple(gate(f"test_{index}", rate(19, 1000), "<=", 0.01) for index in range(failed))
    audits = full_audit(gates=gates[:5]), full_audit(name="b", gates=gates[5:], not_run=())
    errors = [command for command in parse_log(render_audits(workflow_commands, *audits)) if command.name == "error"]
    assert len(errors) == min(failed, 10)
    titles = [error.properties["title"] for error in errors if "line" in error.properties]
    assert titles == [f"fail: test_{index}" for index in range(failed if failed <= 10 else 9)]
    assert (errors[-1].data == f"{failed - 9} more gates did not pass") == (failed > 10)


@given(TEXT, TEXT, TEXT, TEXT, st.integers(0, 10**6))
@settings(max_examples=100)
def test_an_annotation_is_one_line_whatever_it_holds(name: str, reason: str, path: str, step: str, line: int) -> None:
    hostile = replace(FAILING, name=name, reason=reason, path=path, next_step=step, command="", line=line)
    (command,) = parse_log(render_audits(workflow_commands, full_audit(gates=(hostile,), not_run=())))
    place = {"file": sanitize(path), "line": str(max(1, line))} if path else {}
    assert command.properties == place | {"title": sanitize(f"fail: {name}", 200).rstrip()}
    assert command.data == "\n".join(sanitize(text, 1000) for text in (reason, step) if text)


def test_every_line_of_any_report_is_an_error_or_a_warning() -> None:
    for report in random_reports():
        text = workflow_commands(report)
        text.encode()
        commands = parse_log(text)
        assert {command.name for command in commands} <= {"error", "warning"}
        assert len(commands) == min(10, len(report.failed)) + any(audit.not_run for audit in report.audits)


@each_saved_report
def test_saved_reports_give_the_reasons_of_their_failed_gates(saved: str) -> None:
    report = saved_report(saved)
    reasons = [command.data.splitlines()[0] for command in parse_log(workflow_commands(report))]
    assert reasons == [failed.reason for failed in report.failed]


@pytest.mark.parametrize(
    "text",
    [
        "::error::x", "  ::set-env name=a::b", "a\n::error::x", "a\r::error::x", "a\r\n \t::error::x", "##[error]x",
        "a ##[add-mask]b", "\u3000::error::x", "\x0b::error::x", "\x85::error::x", "\n\n::stop-commands::x",
        ":::error::x::y", "##vso[task.setvariable variable=a]b", "##teamcity[x]",
    ],
)  # fmt: skip
def test_no_line_of_a_neutralized_log_is_a_command(text: str) -> None:
    assert_no_command(without_commands(text))


def assert_no_command(text: str) -> None:
    for line in re.split("\r\n|\r|\n", text):
        assert not line.lstrip().startswith("::")
        assert not re.search(r"##\w*\[", line)
        assert parse_line(line) is None


@given(
    st.lists(
        st.sampled_from((*HOSTILE, ":", "::", "#", "##", "[", " ", "\t", "\n", "\r", "error", "\u00a0")), max_size=8
    )
)
@settings(max_examples=500)
def test_neutralizing_only_adds_blanks_and_leaves_no_command(parts: list[str]) -> None:
    text = "".join(parts)
    neutralized = without_commands(text)
    assert_no_command(neutralized)
    assert neutralized.replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize("text", ["a.py::test_x passed", "std::vector", "# a [b]", "## [x]", "a: b\nc :: d", ""])
def test_text_without_a_command_stays_as_it_is(text: str) -> None:
    assert without_commands(text) == text


@pytest.mark.parametrize("repeated", ["\n", " ", ":", "#", "\r "])
def test_a_log_of_a_megabyte_is_neutralized_in_linear_time(repeated: str) -> None:
    """A pattern that backtracks takes minutes here, and hours for ten megabytes."""
    text = repeated * (MIB // len(repeated))
    started = time.process_time()
    neutralized = without_commands(f"{text}\n::error::x")
    assert time.process_time() - started < 5
    assert neutralized.endswith("\n: :error::x")
    assert neutralized.replace(" ", "") == f"{text}\n::error::x".replace(" ", "")


def test_a_summary_is_appended_to_the_file(tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    assert append_summary(Report((full_audit(),)), path) == ""
    assert path.read_text() == render_audits(markdown.render, full_audit())
    path.write_text("<details>before")
    assert append_summary(Report((full_audit(),)), path) == ""
    assert path.read_text() == "<details>before\n\n" + render_audits(markdown.render, full_audit())


@pytest.mark.parametrize("present", [0, 500_000, MIB - 100_000, MIB - 17_000, MIB - 1000, MIB, 2 * MIB])
def test_the_whole_file_stays_below_the_limit(tmp_path: Path, present: int) -> None:
    path = tmp_path / "summary.md"
    path.write_bytes(b"x" * present)
    gates = tuple(replace(FAILING, name=f"test_{index}", reason="ä" * 1900) for index in range(400))
    error_message = append_summary(Report((full_audit(gates=gates),)), path)
    written = path.stat().st_size - present
    assert path.stat().st_size < MIB or written == 0
    assert (written == 0) == bool(error_message)
    assert written > 0 or present > MIB - 20_000
    if error_message:
        assert error_message.endswith(".")
        assert str(path) in error_message


@pytest.mark.parametrize("name", ["", "no/such/folder/s.md", "a\0b", "x" * 5000, "\ud800"])
def test_a_summary_that_cannot_be_written_is_an_error_message(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    error_message = append_summary(Report((full_audit(),)), path)
    if not path.name.startswith("\ud800"):
        assert re.fullmatch(
            r"The audit's summary was to be appended to [^\n]*, which is not possible \(.*\)\.", error_message
        )
    error_message.encode()


def test_a_summary_leaves_room_for_other_writers() -> None:
    assert MAX_SUMMARY_BYTES < MIB
