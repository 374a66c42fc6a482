"""The command beside a gate that did not pass repeats the run's options, and adds what would decide the gate."""

from __future__ import annotations

import math
import shlex
from dataclasses import replace

import pytest

from pytest_kdmem.auditing.gates import gate_from
from pytest_kdmem.auditing.rerun_command import next_command, with_commands
from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema import Gate
from pytest_kdmem.metrics.bounds import Counts, estimate_proportion
from pytest_kdmem.metrics.estimate import Comparison, Estimate
from pytest_kdmem.specs.reading_kinds import Stratify
from tests.auditing.estimates import rate
from tests.auditing.results import full_result

FULL = full_result()
assert FULL.training_set is not None
# A sample of 1 000 distinct examples of a larger set.
RESULT = replace(FULL, training_set=replace(FULL.training_set, examples=10**6))
OPTIONS = ["--kdmem-sample=1000", "--kdmem-dtype=bfloat16"]


def gate(estimate: Estimate, threshold: Estimate | float, **changed: str) -> Gate:
    return replace(gate_from("test_x", "a.py::test_x", Comparison(estimate, "<=", threshold)), **changed)


def added(failed: Gate, result: AuditResult = RESULT) -> list[str]:
    """What a command has beyond the test and the options of the run."""
    words = shlex.split(next_command(failed, result, []))
    assert words[:2] == ["pytest", "a.py::test_x"]
    return words[2:]


def test_a_gate_that_the_data_contradict_shows_its_examples() -> None:
    assert added(gate(rate(19, 1000), 0.01)) == ["--kdmem-report=gate.html"]


def test_a_sample_too_small_is_enlarged_to_what_would_decide() -> None:
    needed = math.ceil(math.log(0.05) / math.log(1 - 0.001))
    assert added(gate(rate(0, 1000), 0.001)) == [f"--kdmem-sample={needed}"]


def test_the_sample_of_a_share_is_enlarged_in_proportion() -> None:
    """A share of 5 examples among 1 000 drawn needs 200 drawn for each example of its denominator."""
    share = estimate_proportion("inherited share", "student", Counts(0, 5), exhaustive=False)
    needed = math.ceil(math.log(0.05) / math.log(1 - 0.1))
    assert added(gate(share, 0.1)) == [f"--kdmem-sample={200 * needed}"]


def test_a_value_that_meets_the_threshold_asks_for_four_times_the_sample() -> None:
    assert added(gate(rate(9, 1000), 0.01)) == ["--kdmem-sample=4000"]


@pytest.mark.parametrize("part", ["group", "copies"])
def test_of_a_group_or_tier_more_is_drawn_and_not_of_the_whole_sample(part: Stratify) -> None:
    stratify = f"--kdmem-stratify={part}"
    needed = math.ceil(math.log(0.05) / math.log(1 - 0.001))
    for value, limit, options in (
        (rate(0, 1000), 0.001, [stratify, f"--kdmem-stratum-sample={needed}"]),
        (rate(9, 1000), 0.01, [stratify, "--kdmem-stratum-sample=4000"]),
        (rate(0, 0), 0.5, [stratify]),
    ):
        failed = gate(replace(value, part=part), limit)
        assert added(failed) == options
        assert stratify.removesuffix(f"={part}") in failed.next_step
        assert next_command(failed, RESULT, options) == ""
        # A teacher set has no strata.
        of_teacher_set = replace(value, part=part, subject="student on teacher set on licence MIT")
        assert not any("strat" in option for option in added(gate(of_teacher_set, limit)))


def test_what_no_sample_can_show_asks_for_no_sample() -> None:
    assert added(gate(rate(0, 1000), 0.0)) == ["--kdmem-report=gate.html"]


def test_ambiguous_examples_alone_ask_for_full_precision_and_other_engines() -> None:
    estimate = rate(10, 1000, exhaustive=True, ambiguous=1)
    assert added(gate(estimate, 0.01)) == ["--kdmem-dtype=float32", "--kdmem-confirm"]


def test_an_undefined_value_shows_its_examples() -> None:
    assert added(gate(rate(0, 0), 0.5)) == ["--kdmem-report=gate.html"]


def test_an_error_is_run_again_as_it_was() -> None:
    assert added(Gate("test_x", "a.py::test_x", "", None, None, None, "error", "broke")) == []


def test_what_an_error_recommends_is_in_the_command_once_for_all_gates_of_that_error() -> None:
    message = "At most 128 positions were expected; set --kdmem-window-tokens=128, or as many as training had."
    gates = tuple(
        Gate(name, f"{file}::{name}", "", None, None, None, "error", message)
        for file, name in (("a.py", "test_x"), ("a.py", "test_y"), ("b.py", "test_z"))
    )
    assert added(gates[0]) == ["--kdmem-window-tokens=128"]
    result = replace(RESULT, gates=gates)
    commands = {each.command for each in with_commands(result, ["--kdmem-window-tokens=256", *OPTIONS], "up").gates}
    assert commands == {"pytest up/a.py up/b.py --kdmem-sample=1000 --kdmem-dtype=bfloat16 --kdmem-window-tokens=128"}
    useless = replace(RESULT, gates=tuple(replace(each, reason="A model was expected.") for each in gates))
    assert {each.command for each in with_commands(useless, OPTIONS).gates} == {""}


def test_options_of_the_run_are_repeated_unless_the_command_replaces_them() -> None:
    assert next_command(gate(rate(9, 1000), 0.01), RESULT, OPTIONS) == (
        "pytest a.py::test_x --kdmem-dtype=bfloat16 --kdmem-sample=4000"
    )


def test_a_command_from_another_folder_names_the_test_from_there() -> None:
    assert next_command(gate(rate(19, 1000), 0.01), RESULT, [], "../project").startswith("pytest ../project/a.py::")


@pytest.mark.parametrize("nodeid", ["a b.py::test_x", "a.py::test_x[a; rm -rf ~]", "a.py::test_x['$HOME']"])
def test_a_command_is_quoted_for_a_shell(nodeid: str) -> None:
    command = next_command(gate(rate(19, 1000), 0.01, nodeid=nodeid), RESULT, [])
    assert shlex.split(command) == ["pytest", nodeid, "--kdmem-report=gate.html"]


def test_a_share_at_risk_that_is_too_high_is_lowered_by_a_cleaned_set() -> None:
    failed = gate(estimate_proportion("share at risk", "training", Counts(5, 10), exhaustive=True), 0.1)
    models = RESULT.models | {"baseline": replace(RESULT.models["student"], revision=None)}
    assert next_command(failed, replace(RESULT, models=models), OPTIONS) == (
        "kdmem prefilter train.jsonl --teacher=runs/teacher --baseline=runs/student --prefix-tokens=50"
        " --dtype=bfloat16 --out=cleaned"
    )
    assert added(failed) == ["--kdmem-report=gate.html"]  # as this audit has no baseline


def test_only_gates_that_did_not_pass_get_a_command() -> None:
    commands = [gate.command for gate in with_commands(RESULT, OPTIONS).gates]
    assert [bool(command) for command in commands] == [gate.outcome != "pass" for gate in RESULT.gates]


@pytest.mark.parametrize("value", [rate(0, 1000), rate(9, 1000)])
def test_no_sample_is_larger_than_the_set(value: Estimate) -> None:
    assert FULL.training_set is not None
    limit = 0.001 if value.k == 0 else 0.01
    small = replace(FULL, training_set=replace(FULL.training_set, examples=1200))
    assert added(gate(value, limit), small) == ["--kdmem-sample=1200"]


@pytest.mark.parametrize(
    ("failed", "options"),
    [
        (gate(rate(19, 1000), 0.01), []),
        (gate(rate(10, 1000, exhaustive=True, ambiguous=1), 0.01), ["--kdmem-dtype=float32", "--kdmem-confirm"]),
    ],
)
def test_a_command_that_was_run_is_followed_by_a_cleaned_set(failed: Gate, options: list[str]) -> None:
    """The run wrote an HTML report, or was in full precision and confirmed."""
    models = RESULT.models | {"baseline": replace(RESULT.models["student"], revision=None)}
    command = next_command(failed, replace(RESULT, models=models), options, written=["audit.json", "gate.html"])
    assert command.startswith("kdmem prefilter train.jsonl --teacher=runs/teacher --baseline=runs/student")
    assert next_command(failed, RESULT, options, written=["gate.html"]) == ""  # as this audit has no baseline
    of_teacher = replace(failed, estimate=replace(failed.estimate, subject="teacher"))
    assert next_command(of_teacher, replace(RESULT, models=models), options, written=["gate.html"]) == ""


def test_a_report_without_examples_is_no_reason_not_to_show_them() -> None:
    failed = gate(rate(19, 1000), 0.01)
    command = next_command(failed, RESULT, [], written=["audit.json", "audit.sarif"])
    assert command.endswith("--kdmem-report=gate.html")


def test_a_test_that_broke_alone_is_not_run_again_as_it_was() -> None:
    broken = Gate("test_x", "a.py::test_x", "", None, None, None, "error", "broke")
    assert next_command(broken, replace(RESULT, gates=(broken,), not_run=()), []) == ""
    assert next_command(broken, RESULT, []) == "pytest a.py::test_x"
