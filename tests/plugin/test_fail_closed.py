"""What must not pass: audits of the wrong thing, of nothing, or resting on what the data do not show."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from pytest_kdmem.auditing.report import read_report
from pytest_kdmem.corpus.sources import training_fingerprint
from pytest_kdmem.specs.declared import TrainingSet
from pytest_kdmem.specs.run_card import DataOrigin, write_run_card
from pytest_kdmem.specs.weights import weights_digest
from tests.audit_project import NOISE, further_warnings
from tests.specs.any_card import card


def outcome(result) -> str:
    """All that a run printed."""
    return result.stdout.str() + result.stderr.str()


@pytest.mark.parametrize("statement", ["memorization(student)", "inheritance()", "memorization(student).rate"])
def test_nothing_but_a_comparison_is_true(audit_project, statement):
    audit_project.gates(f"""
        def test_gate(memorization, inheritance, student):
            assert {statement}
    """)
    result = audit_project.run("--kdmem-report=audit.json")
    result.assert_outcomes(errors=1)
    assert "neither true nor false" in audit_project.report("audit.json").gates[0].reason
    assert "Traceback" not in outcome(result)


def test_per_cent_for_a_share_is_refused(audit_project):
    audit_project.gates("""
        def test_gate(memorization, student):
            assert memorization(student).rate <= 5
    """)
    result = audit_project.run()
    result.assert_outcomes(errors=1)
    assert "must lie between 0 and 1 (5% is 0.05)" in outcome(result)


def test_a_student_that_is_the_baseline_passes_no_inheritance_gate(audit_project):
    audit_project.declare(baseline=audit_project.cast.student)
    audit_project.gates("""
        def test_ratio(inheritance):
            assert inheritance().ratio <= 0.5

        def test_reduction(inheritance):
            assert inheritance().reduction >= 2
    """)
    result = audit_project.run()
    result.assert_outcomes(failed=2)


def test_training_text_is_no_control_set(audit_project):
    shutil.copy(audit_project.path / "data.npy", audit_project.path / "copy.npy")
    audit_project.configure(kdmem_control_set="copy.npy")
    audit_project.gates("""
        def test_gate(memorization, student, control_set):
            assert memorization(student, control_set).loss <= 100
    """)
    result = audit_project.run()
    result.assert_outcomes(errors=1)
    assert "is the training set; hold some text out" in outcome(result)


def test_two_conftests_in_one_session_do_not_share_a_student(audit_project, pytester):
    audit_project.gates("def test_nothing(): pass")
    for name, role in (("one", "student"), ("two", "teacher")):
        folder = pytester.mkdir(name)
        source = str(getattr(audit_project.cast, role))
        (folder / "conftest.py").write_text(
            "import pytest\nfrom pytest_kdmem import Model\n"
            f"@pytest.fixture(scope='session')\ndef student(): return Model({source!r})\n"
        )
        (folder / f"test_{name}.py").write_text(
            "def test_gate(memorization, student):\n    assert memorization(student).rate <= 1\n"
        )
    audit_project.run("one", "two", "--kdmem-report=audit.json").assert_outcomes(passed=2)
    report = read_report(audit_project.path / "audit.json")
    assert [set(audit.memorized_examples["student"]) for audit in report.audits] == [
        audit_project.cast.recited_by(role) for role in ("student", "teacher")
    ]


def test_a_parametrised_student_breaks_its_own_test_alone(audit_project):
    audit_project.gates("""
        import pytest

        @pytest.mark.parametrize("student", ["a", "b"])
        def test_parametrised(memorization, student):
            assert memorization(student).rate <= 1

        def test_plain(memorization, student):
            assert memorization(student).rate <= 1
    """)
    result = audit_project.run()
    result.assert_outcomes(passed=1, errors=2)
    assert "without parameters" in outcome(result)


def test_a_model_folder_trained_anew_in_the_session_is_scored_anew(audit_project):
    cast = audit_project.cast
    audit_project.gates(f"""
        import shutil
        from pytest_kdmem import Model

        def test_gate(memorization, tmp_path):
            recited = []
            for source in ({str(cast.student)!r}, {str(cast.teacher)!r}):
                shutil.copytree(source, tmp_path / "model", dirs_exist_ok=True)
                recited.append(set(memorization(Model(tmp_path / "model")).examples))
            assert recited == [{cast.recited_by("student")}, {cast.recited_by("teacher")}]
    """)
    audit_project.run().assert_outcomes(passed=1)


def test_what_a_run_names_replaces_the_source_and_keeps_how_it_is_read(audit_project):
    audit_project.declare(data='TrainingSet("data.npy", form="blocks", eos="never", add_special_tokens=True, sample=3)')
    np.save(audit_project.path / "other.npy", audit_project.cast.rows[::-1])
    audit_project.gates("""
        def test_who(training_set, student, thresholds):
            print([training_set.source, training_set.form, training_set.add_special_tokens, training_set.sample])
            print([student.dtype])
    """)
    result = audit_project.run("-s", "--kdmem-training-set=other.npy", "--kdmem-sample=5", "--kdmem-dtype=bfloat16")
    result.assert_outcomes(passed=1)
    assert "['other.npy', 'blocks', True, 5]" in outcome(result)
    assert "['bfloat16']" in outcome(result)


def test_a_model_or_set_of_another_kind_is_told_in_one_sentence(audit_project):
    audit_project.gates("""
        def test_model(memorization):
            memorization("runs/student")

        def test_set(memorization, student):
            memorization(student, "data.npy")
    """)
    result = audit_project.run()
    result.assert_outcomes(errors=2)
    assert "A Model was expected" in outcome(result)
    assert "A TrainingSet was expected" in outcome(result)


def test_a_report_names_the_audits_that_were_not_held(audit_project):
    audit_project.gates("""
        import pytest

        def test_first(memorization, student):
            assert memorization(student).rate <= 1

        def test_second(memorization, student):
            assert False

        def test_third(memorization, student):
            assert memorization(student).rate <= 0
    """)
    audit_project.run("--kdmem-report=audit.json", "-x")
    audit = audit_project.report("audit.json")
    assert audit.not_run == ("test_audit.py::test_third",)


def test_a_run_that_audits_nothing_leaves_an_earlier_report(audit_project):
    audit_project.configure(kdmem_report=["audit.json"])
    audit_project.gates("def test_unit(): pass")
    (audit_project.path / "audit.json").write_text("{}")
    audit_project.run()
    assert (audit_project.path / "audit.json").exists()
    audit_project.gates("def test_gate(memorization, student): assert memorization(student).rate <= 1")
    audit_project.run()
    assert len(audit_project.report("audit.json").gates) == 1


def test_an_audit_through_a_fixture_of_the_users_own_stands_in_the_report(audit_project):
    audit_project.gates("""
        import pytest

        @pytest.fixture(scope="session")
        def memorization(memorization):
            return memorization

        def test_gate(memorization, student):
            assert memorization(student).rate <= 0
    """)
    audit_project.run("--kdmem-report=audit.json").assert_outcomes(failed=1)
    assert [gate.outcome for gate in audit_project.report("audit.json").gates] == ["fail"]


def test_two_models_of_one_name_keep_apart_in_the_report(audit_project, tmp_path):
    cast = audit_project.cast
    for run, role in (("a", "student"), ("b", "teacher")):
        shutil.copytree(getattr(cast, role), tmp_path / run / "final")
    audit_project.gates(f"""
        from pytest_kdmem import Model

        def test_gate(memorization):
            for run in "ab":
                assert memorization(Model("{tmp_path}/" + run + "/final")).rate <= 1
    """)
    audit_project.run("--kdmem-report=audit.json")
    rates = audit_project.report("audit.json").memorization
    assert sorted(estimate.k for estimate in rates.values()) == sorted(
        len(cast.recited_by(role)) for role in ("student", "teacher")
    )


def test_a_set_named_for_the_run_is_read_whole_whatever_was_left_out_of_the_other(audit_project):
    rows = audit_project.cast.rows
    np.save(audit_project.path / "long.npy", np.concatenate([rows, rows], axis=1))
    declared = 'TrainingSet("long.npy", minimum_tokens=30, split="a", config="b", documents="articles", revision="c")'
    audit_project.declare(data=declared)
    audit_project.gates("""
        def test_gate(memorization, student, training_set):
            assert (training_set.minimum_tokens, training_set.split, training_set.config) == (0, "train", None)
            assert (training_set.documents, training_set.revision) == ("lines", None)
            assert memorization(student).rate.n == 20
    """)
    audit_project.run("--kdmem-training-set=data.npy").assert_outcomes(passed=1)


def test_models_that_cut_a_text_into_other_tokens_are_not_compared(audit_project, tiny):
    text = "".join(json.dumps({"text": text}) + "\n" for text in audit_project.cast.texts)
    (audit_project.path / "train.jsonl").write_text(text)
    audit_project.declare(baseline=tiny, data='TrainingSet("train.jsonl")')
    audit_project.gates("""
        def test_gate(memorization, student, baseline):
            assert memorization(student).rate <= 1
            assert memorization(student, metrics="all").loss <= memorization(baseline, metrics="all").loss
    """)
    result = audit_project.run()
    result.assert_outcomes(errors=1)
    assert "The same examples of train.jsonl were expected" in outcome(result)


@pytest.mark.parametrize(
    "how", ["minimum_tokens=5", 'form="blocks", eos="never"', "add_special_tokens=True", 'split="validation"']
)
def test_training_text_read_otherwise_is_no_control_set(audit_project, how):
    audit_project.gates(f"""
        import pytest
        from pytest_kdmem import TrainingSet

        @pytest.fixture(scope="session")
        def control_set():
            return TrainingSet("./data.npy", {how})

        def test_gate(memorization, student, control_set):
            assert memorization(student, control_set).loss <= 100
    """)
    result = audit_project.run()
    result.assert_outcomes(errors=1)
    assert "is the training set; hold some text out" in outcome(result)


FORGOTTEN = """
    import pytest
    from concurrent.futures import ThreadPoolExecutor
    from pytest_kdmem import TrainingSet

    UNSEEN = TrainingSet("unseen.npy", sample=7)

    @pytest.fixture
    def leaky(memorization, student):
        return memorization(student, UNSEEN).rate > 0.3

    @pytest.fixture
    def checked(memorization, student):
        yield
        {teardown}

    def test_gate(memorization, student, {fixture}):
        rate = memorization(student).rate
        assert rate <= 1
        {statement}
"""


@pytest.mark.parametrize(
    ("fixture", "statement", "teardown", "message"),
    [
        ("leaky", "assert not leaky", "pass", "compared by <= or <, and > was found"),
        ("checked", "pass", "assert memorization(student).rate <= 0.01", "> 1.00%"),
        ("checked", "pass", "memorization(student, UNSEEN).rate <= 0.3", "cannot show ≤ 30.00%"),
        ("checked", "pass", "raise OSError", "OSError"),
        (
            "checked",
            "ThreadPoolExecutor(1).submit(lambda: memorization(student, UNSEEN).rate <= 0.3).result()",
            "pass",
            "cannot show ≤ 30.00%",
        ),
    ],
)
def test_what_is_compared_around_a_test_is_a_gate_of_it(audit_project, fixture, statement, teardown, message):
    np.save(audit_project.path / "unseen.npy", audit_project.cast.rows[-8:])
    audit_project.gates(FORGOTTEN.format(fixture=fixture, statement=statement, teardown=teardown))
    result = audit_project.run("--kdmem-report=audit.json")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    failed = audit_project.report("audit.json").failed
    assert failed
    assert message in failed[-1].reason or message in outcome(result)


def test_an_audit_that_compares_no_estimate_decides_no_release(audit_project):
    audit_project.gates("def test_gate(memorization, student):\n    assert memorization(student).rate.value <= 0.3")
    audit_project.run("--kdmem-report=audit.md").assert_outcomes(passed=1)
    text = (audit_project.path / "audit.md").read_text()
    assert "Not decided: 1 of 1 gates run, all pass; no estimate was compared" in text


def test_each_subtest_has_its_gate(audit_project):
    audit_project.gates("""
        def test_gate(memorization, student, subtests):
            for limit in (0.5, 0.01):
                with subtests.test(limit=limit):
                    assert memorization(student).rate <= limit
    """)
    result = audit_project.run("--kdmem-report=audit.json")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    gates = audit_project.report("audit.json").gates
    assert [(gate.outcome, gate.threshold) for gate in gates if gate.estimate is not None] == [
        ("pass", 0.5),
        ("fail", 0.01),
    ]


@pytest.mark.parametrize("other", ["raise NotImplementedError", "from helper import check; check(1 == 2)"])
def test_an_error_without_a_word_is_not_taken_for_the_gate(audit_project, other):
    audit_project.pytester.makepyfile(helper="def check(holds):\n    assert holds")
    audit_project.gates(f"""
        def test_gate(memorization, student):
            strict = memorization(student).rate <= 0.01
            {other}
    """)
    result = audit_project.run("--kdmem-report=audit.json")
    result.assert_outcomes(failed=1)
    assert [gate.estimate is None for gate in audit_project.report("audit.json").failed] == [False, True]
    assert "= FAILURES =" in outcome(result)


def test_a_set_of_which_nearly_everything_is_too_short_is_not_judged(audit_project):
    texts = [*audit_project.cast.texts[:1], *(f"zq{number:03d}x" for number in range(40))]
    (audit_project.path / "short.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    audit_project.declare(data='TrainingSet("short.jsonl")')
    audit_project.gates("def test_gate(memorization, student):\n    assert memorization(student).rate <= 1")
    result = audit_project.run()
    result.assert_outcomes(errors=1)
    assert "1 of 41 are, so a figure would cover almost none of them" in outcome(result)
    assert (
        audit_project.run("--kdmem-min-scored-share=0.01", NOISE, "--kdmem-report=audit.json").ret == pytest.ExitCode.OK
    )
    [gate] = audit_project.report("audit.json").gates
    assert gate.reason.endswith("of 1; 40 rows too short to be measured) ≤ 100.00%")


def test_a_student_that_was_trained_on_another_set_is_not_judged_over_this_one(audit_project):
    folder = shutil.copytree(audit_project.cast.student, audit_project.path / "student")
    np.save(audit_project.path / "other.npy", audit_project.cast.rows[::-1])
    other = training_fingerprint(TrainingSet(audit_project.path / "other.npy"))
    trained_on = DataOrigin("other.npy", other, 20, 400)
    write_run_card(card(weights=weights_digest(folder), training_set=trained_on, teacher=None, extraction={}), folder)
    audit_project.declare(student=folder)
    audit_project.gates("def test_gate(memorization, student):\n    assert memorization(student).rate <= 0.99")
    result = audit_project.run()
    result.assert_outcomes(errors=1)
    assert "accept this difference by --kdmem-accept-provenance=student:training-set" in outcome(result)
    accepted = audit_project.run("--kdmem-accept-provenance=student:training-set", "--kdmem-report=audit.json")
    assert accepted.ret == pytest.ExitCode.OK
    [warning] = further_warnings(audit_project.report("audit.json"))
    assert warning.startswith("according to its run card, student was trained on other.npy")
    assert audit_project.run("--kdmem-training-set=other.npy").ret == pytest.ExitCode.OK


def test_a_set_that_is_too_short_by_its_column_names_the_others_before_lengths(unscored_project):
    rows = [json.dumps({"client": "zq001x", "body": text}) for text in unscored_project.cast.texts]
    (unscored_project.path / "notes.jsonl").write_text("\n".join(rows))
    unscored_project.declare(data='TrainingSet("notes.jsonl", text_column="client")')
    unscored_project.gates("def test_rate(memorization, student):\n    assert memorization(student).rate <= 0.5")
    result = unscored_project.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    text = result.stdout.str()
    assert "Column 'client' of notes.jsonl is read as its text, and it also has body: if another one was" in text
    assert "all 20 are shorter" in text
