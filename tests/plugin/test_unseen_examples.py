"""What is too short to be looked at and stands often leaves gates inconclusive, however the set is read and scored."""

from __future__ import annotations

import json

import pytest

from pytest_kdmem import audit
from pytest_kdmem.auditing.report import read_report
from pytest_kdmem.cli import main
from tests.audit_project import NOISE, PREFIX, SUFFIX, word
from tests.chat import conversation, walk, with_template, write_rows

COPIES = 16
SHORT = " ".join(word(token) for token in (5, 6, 7))
ALL_GATES = """
def test_rate(memorization, student):
    assert memorization(student).rate <= 0.9

def test_copies(memorization, student):
    assert memorization(student).by_copies <= 0.9

def test_one_copy(memorization, student):
    assert memorization(student).by_copies["1"].rate <= 0.9

def test_reduction(inheritance):
    assert inheritance().reduction >= 0.5

def test_ratio(inheritance):
    assert inheritance().ratio <= 0.9

def test_against_baseline(memorization, student, baseline):
    assert memorization(student).rate <= memorization(baseline).rate

def test_near(near_verbatim, student):
    assert near_verbatim(student).rate <= 0.9

def test_extractable(memorization, student):
    assert memorization(student).extractable(10, 0.5) <= 0.9

def test_longest(memorization, student):
    assert memorization(student, metrics="all").longest_run <= 256

def test_shorter(memorization, student):
    assert memorization(student, metrics="all").at_prefix(5).rate <= 0.9
"""
RATE = "def test_rate(memorization, student):\n    assert memorization(student).rate <= 0.9\n"
REASON = "because 1 example of data.jsonl that is too short to be looked at (3 tokens) stands there 16 times"
WAY_OUT = (
    "Accept it by --kdmem-max-short-copies=16, or train without them: of examples of fewer than 40 tokens no lengths"
    " show anything."
)


@pytest.fixture
def project(audit_project):
    """An audit of a set in which a short text stands often."""
    write(audit_project, [*audit_project.cast.texts, *[SHORT] * COPIES])
    audit_project.declare(data='TrainingSet("data.jsonl")')
    audit_project.gates(RATE)
    return audit_project


def write(project, texts, **columns):
    rows = [{"text": text} | {name: values[at] for name, values in columns.items()} for at, text in enumerate(texts)]
    (project.path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def outcomes(project, name="audit.json"):
    return {gate.name.removeprefix("test_").replace("_", " "): gate.outcome for gate in project.report(name).gates}


def test_gates_on_what_is_recited_are_inconclusive_and_say_what_to_do(project):
    project.gates(ALL_GATES)
    result = project.run("--kdmem-report=audit.json", "--kdmem-report=audit.html", "--kdmem-report=audit.md")
    audit_result = project.report("audit.json")
    found = outcomes(project)
    # What stands once was looked at, whatever stands more often.
    assert found.pop("one copy") == "pass"
    assert set(found.values()) == {"inconclusive"}, found
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    of_set = [gate for gate in audit_result.gates if gate.name not in ("test_one_copy", "test_copies")]
    assert all(REASON in gate.reason and gate.next_step == WAY_OUT for gate in of_set)
    [tier] = [gate for gate in audit_result.gates if gate.name == "test_copies"]
    assert "16+ copies" in tier.reason
    for page in ("audit.html", "audit.md"):
        text = (project.path / page).read_text()
        assert "stands there 16 times" in text
        assert "May ship" not in text
    assert "--kdmem-max-short-copies=16" in result.stdout.str()


@pytest.mark.parametrize("allowed", [COPIES, 1_000_000])
def test_what_is_accepted_by_number_passes_and_stays_a_warning(project, allowed):
    project.gates(ALL_GATES)
    reports = ("audit.json", "audit.html", "audit.md")
    result = project.run(f"--kdmem-max-short-copies={allowed}", *(f"--kdmem-report={name}" for name in reports))
    assert set(outcomes(project).values()) == {"pass"}
    assert result.ret == pytest.ExitCode.OK
    for name in reports:
        assert "too short to be looked at, and stands there up to 16 times" in (project.path / name).read_text()
    assert "too short to be looked at, and stands there up to 16 times" in result.stdout.str()


@pytest.mark.parametrize(
    ("copies", "allowed", "outcome"), [(3, 3, "pass"), (4, 3, "inconclusive"), (1, 0, "inconclusive")]
)
def test_the_number_is_the_most_that_passes(project, copies, allowed, outcome):
    write(project, [*project.cast.texts, *[SHORT] * copies])
    project.run(f"--kdmem-max-short-copies={allowed}", "--kdmem-report=audit.json")
    assert outcomes(project) == {"rate": outcome}


def test_rows_without_text_hide_nothing_and_need_no_acceptance(project):
    blank = ["--kdmem-min-scored-share=0", "--kdmem-report=audit.json"]
    write(project, [*project.cast.texts, *[""] * 50])
    for _ in range(2):  # read, and from the store
        project.run(*blank)
        assert outcomes(project) == {"rate": "pass"}
    write(project, [*project.cast.texts, *[""] * 50, *[SHORT] * COPIES])
    project.run(*blank)
    assert outcomes(project) == {"rate": "inconclusive"}
    [gate] = project.report("audit.json").gates
    assert (gate.next_step, REASON in gate.reason) == (WAY_OUT, True)


def test_a_gate_that_does_not_hold_fails_as_any_other(project):
    project.gates(RATE.replace("0.9", "0.01"))
    project.run("--kdmem-report=audit.json")
    [gate] = project.report("audit.json").gates
    assert gate.outcome == "fail"
    assert "too short to be looked at" not in gate.reason


@pytest.mark.parametrize("sample", ["sample=15", "sample=100_000", 'sample=15, stratify="copies", stratum_sample=2'])
def test_a_sample_hides_nothing(project, sample):
    project.declare(data=f'TrainingSet("data.jsonl", {sample})')
    for _ in range(2):  # read, and from the store
        project.run("--kdmem-report=audit.json")
        assert outcomes(project) == {"rate": "inconclusive"}


def test_groups_that_hold_it_are_inconclusive_and_others_are_not(project):
    texts = [*project.cast.texts, *[SHORT] * COPIES]
    write(project, texts, client=["acme", "brief"] * 10 + ["acme"] * COPIES)
    source = "def test_all(memorization, student):\n    assert memorization(student).by_group <= 0.9\n" + "".join(
        f"\ndef test_{name}(memorization, student):\n    assert memorization(student).by_group['{name}'].rate <= 0.9\n"
        f"\ndef test_ratio_{name}(inheritance):\n    assert inheritance().by_group['{name}'].ratio <= 0.9\n"
        for name in ("acme", "brief")
    )
    project.gates(source)
    for data, of_brief in (("", "pass"), (", sample=1000", "inconclusive")):
        project.declare(data=f'TrainingSet("data.jsonl", group_column="client"{data})')
        project.run("--kdmem-report=audit.json")
        found = outcomes(project)
        assert (found["acme"], found["brief"]) == ("inconclusive", of_brief)
        assert {gate.outcome for gate in project.report("audit.json").gates if gate.name == "test_all"} == {
            "inconclusive"
        }
        assert found["ratio acme"] == "inconclusive"
        # Of a sample it is not known whose the short examples are.
        assert found["ratio brief"] == of_brief


@pytest.mark.parametrize("parts", ["by_copies", "by_group"])
def test_a_part_that_holds_nothing_else_is_not_left_out_as_empty(project, parts):
    write(project, [*project.cast.texts, *[SHORT] * COPIES], client=["acme"] * 20 + ["codes"] * COPIES)
    project.declare(data='TrainingSet("data.jsonl", group_column="client")')
    project.gates(f"def test_all(memorization, student):\n    assert memorization(student).{parts}.looked_at <= 0.9\n")
    project.run("--kdmem-report=audit.json")
    [gate] = project.report("audit.json").gates
    assert (gate.outcome, gate.parts_not_held, gate.next_step) == ("inconclusive", 1, WAY_OUT)
    assert REASON in gate.reason
    assert gate.estimate.part_name == {"by_copies": "16+ copies", "by_group": "client codes"}[parts]
    accepted = project.run("--kdmem-report=audit.json", "--kdmem-max-short-copies=16")
    assert accepted.ret == pytest.ExitCode.OK
    assert project.report("audit.json").gates[0].estimate.parts == 1


def test_what_a_least_length_leaves_out_counts_unless_a_run_card_says_that_training_left_it_out(project):
    project.declare(data='TrainingSet("data.jsonl", minimum_tokens=20)')
    for _ in range(2):
        project.run("--kdmem-report=audit.json")
        [gate] = project.report("audit.json").gates
        assert gate.outcome == "inconclusive"
        assert "1 document that minimum_tokens leaves out of " in gate.reason
        assert "(3 tokens) stands there 16 times, and no run card says that training left it out" in gate.reason
    accepted = project.run("--kdmem-max-short-copies=16", "--kdmem-report=audit.json")
    assert accepted.ret == pytest.ExitCode.OK
    assert any("minimum_tokens leaves 1 distinct document" in text for text in project.report("audit.json").warnings)


def test_accepted_figures_are_no_way_around_it(project):
    project.gates(
        "def test_rate(memorization, student, accepted):\n    assert memorization(student).rate <= accepted\n"
    )
    accept = ["--kdmem-baseline-file=accepted.json", "--kdmem-update-baseline-file"]
    project.run(*accept, "--kdmem-max-short-copies=16")
    project.run("--kdmem-baseline-file=accepted.json", "--kdmem-report=audit.json")
    assert outcomes(project) == {"rate": "inconclusive"}


def test_each_of_several_students_is_held_to_it(project):
    cast = project.cast
    project.declare(data='TrainingSet("data.jsonl")', student=None)
    with (project.path / "conftest.py").open("a") as conftest:
        conftest.write(f"""
@pytest.fixture(scope="session")
def students():
    return {{"a": Model({str(cast.student)!r}), "b": Model({str(cast.baseline)!r})}}
""")
    result = project.run("--kdmem-report=audit.json")
    gates = [gate for each in read_report(project.path / "audit.json").audits for gate in each.gates]
    assert [gate.outcome for gate in gates] == ["inconclusive"] * 2
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert project.run("--kdmem-max-short-copies=16").ret == pytest.ExitCode.OK


def test_workers_and_a_comparison_of_reports_tell_it(project, capsys):
    project.run_workers(1, "--kdmem-report=audit.json")
    assert outcomes(project) == {"rate": "inconclusive"}
    project.run("--kdmem-report=again.json", "--kdmem-max-short-copies=16")
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit_code:
        main(["compare", str(project.path / "again.json"), str(project.path / "audit.json")])
    assert exit_code.value.code == 0
    assert "not looked at: 1 example that is too short (16 rows)" in capsys.readouterr().out


def test_a_short_answer_of_conversations_counts_with_its_prompt(unscored_project):
    project = unscored_project
    folder = with_template(project.cast.student, project.path / "student")
    long = [conversation((walk(7, at, 3), walk(7, at + 3, 12))) for at in range(4)]
    short = [conversation((walk(7, 1, 3), walk(7, 4, 3)))] * COPIES
    project.declare(data='TrainingSet("chat.jsonl")', student=folder)
    project.gates(RATE)
    for rows, outcome in ((long + short, "inconclusive"), (long + short[:3], "pass")):
        write_rows(project.path / "chat.jsonl", rows)
        project.run("--kdmem-report=audit.json", "--kdmem-min-scored-share=0", NOISE)
        assert outcomes(project) == {"rate": outcome}
        [gate] = project.report("audit.json").gates
        # Three words and the end of the turn.
        way_out = f"Accept it by --kdmem-max-short-copies={COPIES}, or train without them: of examples of fewer than 20"
        assert gate.next_step.startswith(way_out) == (outcome == "inconclusive")


def test_documents_that_are_joined_to_blocks_are_no_short_examples(project):
    """A block holds its documents, however short, so that the only short example is what is left at the end."""
    write(project, [*project.cast.texts, *[SHORT] * COPIES])
    project.declare(data='TrainingSet("data.jsonl", form="blocks", eos="never")')
    project.configure(kdmem_window_tokens=40)
    project.run("--kdmem-report=audit.json", NOISE)
    assert outcomes(project) == {"rate": "pass"}


def test_an_audit_from_python_says_the_same_by_its_own_names(project):
    declared = {"student": project.cast.student, "training_set": project.path / "data.jsonl"}
    lengths = {"prefix_tokens": PREFIX, "suffix_tokens": SUFFIX, "cache_dir": project.path / ".kdmem"}
    gates = {"max_memorization_rate": 0.9}
    [gate] = audit(gates=gates, **declared, **lengths).gates
    assert gate.outcome == "inconclusive"
    assert gate.next_step.startswith("Accept it by max_short_copies=16, or train without them")
    [gate] = audit(gates=gates, max_short_copies=16, **declared, **lengths).gates
    assert gate.outcome == "pass"


def test_a_control_set_is_not_held_to_it(project):
    project.gates(
        "def test_loss(memorization, student, control_set):\n"
        '    assert memorization(student, control_set, metrics="all").loss <= 1000\n'
    )
    project.declare(data='TrainingSet("data.npy")')
    project.run("--kdmem-control-set=data.jsonl", NOISE, "--kdmem-report=audit.json")
    assert outcomes(project) == {"loss": "pass"}
