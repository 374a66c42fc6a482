"""What an audit leaves behind: the JSON report, the terminal's summary, and nowhere a word of the training set."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.corpus.sources import training_fingerprint
from pytest_kdmem.report.identity import identity_lines
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Model, TrainingSet
from pytest_kdmem.specs.run_card import DataOrigin, ModelOrigin, RunCard, write_run_card
from pytest_kdmem.specs.weights import weights_digest
from tests.audit_project import further_warnings

AUDIT = """
def test_rate(memorization, student):
    assert memorization(student).rate <= 0.25

def test_reduction(inheritance):
    assert inheritance().reduction >= 2

def test_ratio(inheritance):
    assert inheritance().ratio <= 0.02
"""
GREEN = """
def test_rate(memorization, student):
    assert memorization(student).rate <= 0.25
"""


def test_report_holds_what_is_known(audit_project):
    cast = audit_project.cast
    audit_project.gates(AUDIT)
    assert audit_project.run("--kdmem-report", "out/audit.json").ret == pytest.ExitCode.TESTS_FAILED
    result = audit_project.report("out/audit.json")
    assert {role: estimate.k for role, estimate in result.memorization.items()} == {
        "teacher": 7,
        "baseline": 7,
        "student": 5,
    }
    for role, estimate in result.memorization.items():
        assert (estimate.n, estimate.low, estimate.high) == (20, estimate.value, estimate.value)
        assert set(result.memorized_examples[role]) == cast.recited_by(role)
        assert result.models[role].source == str(getattr(cast, role))
    assert len({model.digest for model in result.models.values()}) == 3
    assert result.inheritance.cells == {
        "teacher": 3,
        "baseline": 3,
        "student": 1,
        "teacher+baseline": 1,
        "teacher+student": 1,
        "baseline+student": 1,
        "all": 2,
        "none": 8,
    }
    assert set(result.inheritance.inherited_examples) == cast.recited_by("teacher") & cast.recited_by(
        "student"
    ) - cast.recited_by("baseline")
    assert (result.inheritance.ratio.value, result.inheritance.reduction.value) == (0.25, pytest.approx(1.4))
    assert [(gate.name, gate.metric, gate.operator, gate.threshold, gate.outcome) for gate in result.gates] == [
        ("test_rate", "memorization rate", "<=", 0.25, "pass"),
        ("test_reduction", "reduction", ">=", 2.0, "fail"),
        ("test_ratio", "inheritance ratio", "<=", 0.02, "fail"),
    ]
    assert result.gates[0].nodeid == "test_audit.py::test_rate"
    data = result.training_set
    assert (data.examples, data.distinct, data.too_short, data.duplicates, data.exhaustive) == (20, 20, 0, 0, True)
    assert (result.settings["prefix_tokens"], result.settings["suffix_tokens"]) == (12, 8)


def test_report_survives_its_own_round_trip(audit_project):
    audit_project.gates(AUDIT)
    audit_project.run("--kdmem-report", "audit.json")
    written = json.loads((audit_project.path / "audit.json").read_text())
    assert written["schema_version"] == 2
    assert AuditResult.from_json(written).to_json() == written


def test_audit_that_broke_says_so_in_its_report(audit_project):
    audit_project.declare(baseline=None)
    audit_project.gates(AUDIT)
    audit_project.run("--kdmem-report", "audit.json")
    result = audit_project.report("audit.json")
    assert [gate.outcome for gate in result.gates] == ["error"] * 3
    assert all("A baseline was expected" in gate.reason for gate in result.gates)
    assert result.memorization == {}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--deselect", "test_audit.py"], pytest.ExitCode.NO_TESTS_COLLECTED),
        (["no_such_test.py"], pytest.ExitCode.USAGE_ERROR),
        (["broken.py"], pytest.ExitCode.INTERRUPTED),
    ],
    ids=["nothing collected", "no such test", "collection error"],
)
def test_stale_report_is_gone_when_a_run_ends_early(audit_project, arguments, code):
    audit_project.gates(GREEN)
    (audit_project.path / "broken.py").write_text("import no_such_module\n")
    stale = audit_project.path / "audit.json"
    stale.write_text("green, long ago")
    assert audit_project.run("--kdmem-report=audit.json", *arguments).ret == code
    assert not stale.exists()


def test_stale_report_is_gone_when_another_setting_is_wrong(audit_project):
    audit_project.gates(GREEN)
    stale = audit_project.path / "audit.json"
    stale.write_text("green, long ago")
    result = audit_project.run("--kdmem-report=audit.json", "--kdmem-student=no/such/folder")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert not stale.exists()


def test_listing_the_tests_touches_no_report(audit_project):
    audit_project.gates(GREEN)
    kept = audit_project.path / "audit.json"
    kept.write_text("of another run")
    audit_project.run("--kdmem-report=audit.json", "--collect-only")
    assert kept.read_text() == "of another run"


def test_several_reports_are_all_written(audit_project):
    audit_project.gates(GREEN)
    audit_project.run("--kdmem-report=a.json", "--kdmem-report=b/c.json")
    first, second = ((audit_project.path / name).read_text() for name in ("a.json", "b/c.json"))
    assert first == second
    assert json.loads(first)["gates"]


@pytest.mark.parametrize("path", ["folder.json", "data.npy/audit.json"])
def test_report_that_cannot_be_written_is_told_in_a_sentence(audit_project, path):
    (audit_project.path / "folder.json").mkdir()
    audit_project.gates(GREEN)
    result = audit_project.run(f"--kdmem-report={path}")
    text = result.stdout.str() + result.stderr.str()
    assert result.ret not in (pytest.ExitCode.OK, pytest.ExitCode.INTERNAL_ERROR)
    assert path in text
    assert "Traceback" not in text
    assert "INTERNALERROR" not in text


def test_summary_shows_models_and_gates(audit_project):
    audit_project.gates(AUDIT)
    result = audit_project.run()
    result.stdout.fnmatch_lines(
        [
            "=* memorization audit *=",
            "training set *data.npy: 20 distinct*",
            "*teacher *7 *20 *35.00%*exact*",
            "*baseline *7 *20 *35.00%*exact*",
            "*student *5 *20 *25.00%*exact*",
            "inherited 25.00% (1 of 4); *",
            "*rate *25.00% (5 of 20) ≤ 25.00%*",
            "*✗ reduction: fail*",
            "*reduction of student 1.40 × (20 examples) < 2.00 ×*",
        ]
    )


def test_paths_below_the_root_are_relative_in_every_report(audit_project):
    shutil.copytree(audit_project.cast.student, audit_project.path / "runs/student")
    audit_project.declare(student=audit_project.path / "runs/student")
    audit_project.gates(AUDIT)
    audit_project.run("--kdmem-report=audit.json", f"--kdmem-report={audit_project.path / 'audit.html'}")
    assert audit_project.report("audit.json").models["student"].source == "runs/student"
    for name in ("audit.json", "audit.html"):
        assert f"{audit_project.path}/" not in (audit_project.path / name).read_text()


def test_quiet_says_nothing_of_a_green_audit(audit_project):
    audit_project.gates(GREEN)
    text = audit_project.run("-q").stdout.str()
    assert "student" not in text
    assert "memorization audit" not in text


def test_quiet_keeps_the_panels_of_a_red_one(audit_project):
    audit_project.gates(AUDIT)
    result = audit_project.run("-q")
    result.stdout.fnmatch_lines(["*✗ reduction: fail*", "*✗ ratio: fail*"])
    assert "params" not in result.stdout.str()
    assert "20 distinct" not in result.stdout.str()


def test_colour_only_where_it_is_wanted(audit_project, monkeypatch):
    audit_project.gates(AUDIT)
    assert "\x1b[" in summary(audit_project.run("--color=yes"))
    assert "\x1b[" not in summary(audit_project.run())
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b[" not in summary(audit_project.run())


def test_narrow_terminal_breaks_no_line(audit_project, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    audit_project.gates(AUDIT)
    lines = summary(audit_project.run()).splitlines()
    assert len(lines) > 10
    assert max(map(len, lines)) <= 60


@pytest.mark.parametrize("verbosity", ["-q", "-vv"])
def test_no_word_of_the_training_set_leaves_it(audit_project, verbosity):
    cast = audit_project.cast
    lines = "".join(json.dumps({"text": text}) + "\n" for text in cast.texts)
    (audit_project.path / "train.jsonl").write_text(lines)
    audit_project.declare(data='TrainingSet("train.jsonl")')
    audit_project.gates(AUDIT)
    result = audit_project.run(
        "--kdmem-report=out/audit.json", "--kdmem-confirm", "--junitxml=out/junit.xml", verbosity
    )
    # The words were read and recited: else there would be nothing to give away.
    report = audit_project.report("out/audit.json")
    assert set(report.memorized_examples["student"]) == cast.recited_by("student")
    written = [
        file for folder in (".kdmem", "out") for file in (audit_project.path / folder).rglob("*") if file.is_file()
    ]
    assert {file.suffix for file in written} >= {".json", ".parquet", ".xml"}
    shown = [result.stdout.str(), result.stderr.str()]
    shown += [file.read_bytes().decode("utf-8", "replace") for file in written]
    shown += [str(pq.read_table(file).to_pylist()) for file in written if file.suffix == ".parquet"]
    runs = {" ".join(words[at : at + 3]) for words in map(str.split, cast.texts) for at in range(len(words) - 2)}
    assert len(runs) > 100
    for text in shown:
        assert not [run for run in runs if run in text]
        assert "zq" not in text  # every word of the set begins so


def test_how_models_were_made_is_told_from_their_run_cards(audit_project, tmp_path):
    cast = audit_project.cast
    folders = {role: Path(shutil.copytree(getattr(cast, role), tmp_path / role)) for role in ("baseline", "student")}
    teacher = open_checkpoint(Model(cast.teacher)).digest
    data = TrainingSet(audit_project.path / "data.npy")
    student = RunCard(
        weights=weights_digest(cast.student), mode="soft", recipe={"temperature": 2.0}, loss="forward KL, T = 2",
        init=ModelOrigin("base", "b"), teacher=ModelOrigin("teacher", teacher),
        training_set=DataOrigin("data.npy", training_fingerprint(data), 20, 400),
        extraction={}, steps=1752, epochs=4, seconds=1.5, processes=1, resumed_at=(), versions={},
        loss_curve=((1, 2.0),), held_out=((1, 3.0), (2, 2.5)),
    )  # fmt: skip
    write_run_card(student, folders["student"])
    write_run_card(student, folders["baseline"])  # of other weights
    audit_project.declare(**folders)
    audit_project.gates(AUDIT)
    refused = audit_project.run()
    refused.stdout.fnmatch_lines(["*The run card of baseline was expected to be of the weights beside it, and *"])
    assert refused.ret == pytest.ExitCode.TESTS_FAILED
    result = audit_project.run("-v", "--kdmem-report=audit.json", "--kdmem-accept-provenance=baseline:weights")
    audit = audit_project.report("audit.json")
    assert audit.models["student"].run == student.summary()
    assert audit.models["student"].run["last_held_out"] == 2.5
    assert (audit.models["baseline"].run, audit.models["teacher"].run) == (None, None)
    assert further_warnings(audit) == ("run card of baseline belongs to other weights",)
    mixed_up = replace(audit, models=dict.fromkeys(("student", "baseline"), audit.models["baseline"]))
    made_by = dict(identity_lines(mixed_up))["made by"]
    assert made_by == "unknown: the run card beside its weights is of other weights"
    result.stdout.fnmatch_lines(
        [
            f"student: soft, forward KL, T = 2, teacher {teacher[:4]}…, 4 epochs, 1 752 steps",
            "! run card of baseline belongs to other weights",
        ]
    )
    apart = replace(student, teacher=ModelOrigin("t", "f" * 32), training_set=DataOrigin("d.npy", "0" * 32, 1, 1))
    write_run_card(apart, folders["student"])
    before = len(audit_project.shards)
    accepted = "--kdmem-accept-provenance=student:teacher,student:training-set,baseline:weights"
    assert audit_project.run("--kdmem-report=audit.json", accepted).ret == result.ret
    assert len(audit_project.shards) == before, "a card changes nothing that is scored"
    of_teacher, of_data = [
        warning for warning in audit_project.report("audit.json").warnings if "student was " in warning
    ]
    assert "another teacher than its own" in of_teacher
    assert "trained on d.npy" in of_data


def test_models_of_equal_weights_both_have_a_row(audit_project, tmp_path):
    cast = audit_project.cast
    copy = shutil.copytree(cast.baseline, tmp_path / "copy")
    audit_project.declare(student=copy)
    audit_project.gates("""
        def test_gate(memorization, student, baseline):
            assert memorization(student).rate <= memorization(baseline).rate
            assert memorization(student).rate <= 1
    """)
    audit_project.run("--kdmem-report=audit.json").assert_outcomes(passed=1)
    audit = audit_project.report("audit.json")
    assert {role: entry.source for role, entry in audit.models.items()} == {
        "student": str(copy),
        "baseline": str(cast.baseline),
    }
    assert {role: estimate.k for role, estimate in audit.memorization.items()} == {"student": 7, "baseline": 7}


def test_a_model_in_two_roles_has_two_rows(audit_project):
    audit_project.declare(teacher=audit_project.cast.student)
    audit_project.gates("""
        def test_gate(inheritance):
            assert inheritance().ratio.subject == inheritance().reduction.subject == "student"
    """)
    audit_project.run("--kdmem-report=audit.json").assert_outcomes(passed=1)
    rates = audit_project.report("audit.json").memorization
    assert {role: estimate.k for role, estimate in rates.items()} == {"teacher": 5, "student": 5, "baseline": 7}


@pytest.mark.parametrize("relative", [False, True])
def test_a_folder_called_as_a_role_is_none(audit_project, relative):
    copy = shutil.copytree(audit_project.cast.student, audit_project.path / "teacher")
    source = "teacher" if relative else str(copy)
    audit_project.declare(student=source)
    audit_project.gates("""
        def test_gate(memorization, request):
            assert memorization(request.getfixturevalue("student")).rate <= 1
    """)
    audit_project.run("--kdmem-report=audit.json").assert_outcomes(passed=1)
    assert list(audit_project.report("audit.json").models) == ["./teacher" if relative else source]


def test_the_card_of_a_student_is_held_against_the_teacher_that_is_asked_for(audit_project, tmp_path):
    cast = audit_project.cast
    folder = shutil.copytree(cast.student, tmp_path / "student")
    own, other = (open_checkpoint(Model(source)).digest for source in (cast.teacher, cast.baseline))
    made = RunCard(
        weights=weights_digest(folder), mode="soft", recipe={}, loss="", init=ModelOrigin("base", "b"),
        teacher=ModelOrigin("/home/someone/teacher", own), training_set=DataOrigin("data", None, 20, 400),
        extraction={"window_tokens": 19}, steps=1, epochs=1, seconds=1.5, processes=1, resumed_at=(), versions={},
    )  # fmt: skip
    write_run_card(made, folder)
    audit_project.declare(student=folder)
    audit_project.gates(f"""
        from pytest_kdmem import Model

        def test_gate(inheritance):
            assert inheritance().inherited == 1
            inheritance(teacher=Model({str(cast.baseline)!r}))
    """)
    accepted = "--kdmem-accept-provenance=student:window,student:teacher"
    result = audit_project.run("--kdmem-report=audit.json", accepted)
    result.assert_outcomes(passed=1)
    of_window, of_teacher, of_one_model = further_warnings(audit_project.report("audit.json"))
    assert "windows of 19 tokens" in of_window
    assert own[:4] in of_teacher
    assert other[:4] in of_teacher
    assert of_one_model == "teacher and baseline are the same model: no example is memorized by the teacher alone"
    assert "/home/someone" not in result.stdout.str() + (audit_project.path / "audit.json").read_text()


def test_a_hostile_card_stops_an_audit_and_costs_no_report_where_it_is_accepted(audit_project, tmp_path):
    folder = shutil.copytree(audit_project.cast.student, tmp_path / "student")
    (folder / "kdmem_run.json").write_text('{"schema_version": 1, "\\ud800": ' + "[" * 900 + "]" * 900 + "}")
    audit_project.declare(student=folder)
    audit_project.gates(GREEN)
    stopped = audit_project.run()
    stopped.assert_outcomes(errors=1)
    assert "or accept this difference by --kdmem-accept-provenance=student:weights" in stopped.stdout.str()
    audit_project.run("--kdmem-report=audit.json", "--kdmem-accept-provenance=student:weights").assert_outcomes(
        passed=1
    )
    [warning] = further_warnings(audit_project.report("audit.json"))
    assert warning.startswith("run card of student cannot be read")


def summary(result: pytest.RunResult) -> str:
    """What the audit wrote at the end, without pytest's own lines around it."""
    whole = result.stdout.str()
    return (
        whole[whole.index("memorization audit") :]
        .split("\n", 1)[1]
        .split("short test summary info")[0]
        .rsplit("\n", 1)[0]
    )


def test_a_format_that_breaks_costs_no_other_and_no_verdict(audit_project, monkeypatch):
    from pytest_kdmem.report import formats

    def broken(report):
        raise KeyError("zq001x")

    monkeypatch.setitem(formats.FORMATS, ".html", broken)
    audit_project.gates(AUDIT)
    result = audit_project.run("--kdmem-report=audit.html", "--kdmem-report=audit.json")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert audit_project.report("audit.json").gates
    result.stdout.fnmatch_lines(["*memorization audit*", "*audit.html, and rendering it broke (KeyError)*"])
    assert "zq001x" not in result.stdout.str()


def test_reports_count_what_was_screened_and_decided_and_the_store_keeps_the_counts(unscored_project):
    unscored_project.gates(AUDIT)
    screened = ("-v", "--kdmem-screen-dtype=bfloat16", "--kdmem-report=a.json", "--kdmem-report=a.md")
    first = unscored_project.run(*screened)
    audit = unscored_project.report("a.json")
    counts = {role: model.screening for role, model in audit.models.items()}
    assert {(entry.dtype, entry.screened) for entry in counts.values()} == {("bfloat16", 20)}
    assert all(0 < entry.decided <= 20 and entry.changed == 0 for entry in counts.values())
    assert {model.dtype for model in audit.models.values()} == {"float32"}
    assert set(audit.memorized_examples["student"]) == unscored_project.cast.recited_by("student")
    entry = counts["student"]
    phrase = f"20 screened in bfloat16, {entry.decided} decided in float32 (0 changed)"
    first.stdout.fnmatch_lines([f"*{phrase}*"])
    assert phrase in (unscored_project.path / "a.md").read_text()
    unscored_project.run(*screened)  # from the store
    assert {role: model.screening for role, model in unscored_project.report("a.json").models.items()} == counts


def test_a_dtype_that_is_named_is_not_screened(unscored_project):
    unscored_project.gates(GREEN)
    result = unscored_project.run("--kdmem-dtype=float32", "--kdmem-screen-dtype=bfloat16")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*dtype auto was expected with screen-dtype bfloat16*found float32*"])
