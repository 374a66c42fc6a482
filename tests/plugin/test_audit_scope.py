"""Which audit a test belongs to, and where that cannot be told."""

from __future__ import annotations

import numpy as np
import pytest

from tests.audit_project import NOISE
from tests.plugin.audit_folders import GATE, RATE, read, recited


def test_a_module_and_a_class_may_declare_their_own(audit_project):
    cast = audit_project.cast
    audit_project.gates(f"""
        import pytest
        from pytest_kdmem import Model

        def test_plain(memorization, student):
            assert memorization(student).rate.k == 5

        class TestOther:
            @pytest.fixture(scope="session")
            def student(self):
                return Model({str(cast.teacher)!r})

            def test_own(self, memorization, student):
                assert memorization(student).rate.k == 7
    """)
    audit_project.run("--kdmem-report=audit.json").assert_outcomes(passed=2)
    assert recited(read(audit_project)) == {"": 5, "test_audit.py::TestOther": 7}


def test_a_folder_may_change_what_another_declares(two, folder):
    changed = '@pytest.fixture(scope="session")\ndef training_set(training_set):\n    return TrainingSet("less.npy")\n'
    np.save(two.path / "less.npy", two.cast.rows[:4])
    folder("audits/a/less", "def test_n(memorization, student):\n    assert memorization(student).rate.n == 4", changed)
    two.run("--kdmem-report=audit.json", NOISE).assert_outcomes(passed=3)
    assert {audit.name: audit.training_set.distinct for audit in read(two).audits} == {
        "audits/a": 20,
        "audits/a/less": 4,
        "audits/b": 20,
    }


@pytest.mark.parametrize("place", ["option", "environment"])
def test_a_student_named_for_the_run_would_replace_each_folders_own(two, monkeypatch, place):
    stale = two.path / "audit.json"
    stale.write_text("of another run")
    other = str(two.cast.baseline)
    if place == "environment":
        monkeypatch.setenv("KDMEM_STUDENT", other)
    named = [f"--kdmem-student={other}"] if place == "option" else []
    result = two.run(*named, "--kdmem-report=audit.json")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    output = result.stdout.str() + result.stderr.str()
    select = "pytest audits/a --kdmem-student …" if place == "option" else "KDMEM_STUDENT=… pytest audits/a"
    for part in ("audits/a, audits/b", select):
        assert part in output
    assert not stale.exists()
    assert len(two.shards) == 3  # of the store that the project began with
    two.run("audits/b", *named, "--kdmem-report=audit.json").assert_outcomes(passed=1)
    assert read(two).audits[0].models["student"].source == other


def test_a_model_that_the_audits_share_may_be_named_for_all(two, folder):
    tests = "def test_rate(memorization, baseline, student):\n    assert memorization(baseline).rate.k == 5\n"
    folder("audits/a", tests, student="student")
    folder("audits/b", tests, student="teacher")
    two.run(f"--kdmem-baseline={two.cast.student}").assert_outcomes(passed=2)


def test_a_training_set_named_for_the_run_is_that_of_all(two, folder):
    np.save(two.path / "less.npy", two.cast.rows[:4])
    for name, source in (("a", "student"), ("b", "teacher")):
        folder(f"audits/{name}", RATE.format(rate=1), student=source)
    two.run("--kdmem-training-set=less.npy", "--kdmem-report=audit.json", NOISE).assert_outcomes(passed=2)
    assert [audit.training_set.distinct for audit in read(two).audits] == [4, 4]


def test_models_of_the_configuration_are_an_audit_beside_those_of_a_folder(audit_project, folder):
    audit_project.declare(student=None)
    audit_project.configure(kdmem_student=str(audit_project.cast.student))
    folder("plain", RATE.format(rate=0.25))
    folder("other", RATE.format(rate=0.35), student="teacher")
    audit_project.run("--kdmem-report=audit.json").assert_outcomes(passed=2)
    assert recited(read(audit_project)) == {"other": 7, "": 5}


@pytest.mark.parametrize(
    "parameters",
    [
        '@pytest.fixture(scope="session", params=["student", "teacher"])\ndef family(request): return request.param\n',
        "",
    ],
    ids=["a fixture's", "a test's"],
)
def test_an_audit_whose_models_vary_within_it_is_an_error(two, folder, parameters):
    sources = {name: str(getattr(two.cast, name)) for name in ("student", "teacher")}
    own = parameters or '@pytest.fixture(scope="session")\ndef family(): return "student"\n'
    own += f'@pytest.fixture(scope="session")\ndef student(family): return Model({sources}[family])\n'
    marked = '@pytest.mark.parametrize("family", ["student", "teacher"], scope="session")\n' * (not parameters)
    folder("audits/a", f"import pytest\n{marked}{RATE.format(rate=1).lstrip()}", own)
    result = two.run()
    result.assert_outcomes(passed=1, errors=2)
    assert "without parameters" in result.stdout.str()


@pytest.mark.parametrize("beside", [False, True], ids=["alone", "after an audit"])
def test_a_test_that_is_not_known_for_an_audit_is_handed_none(two, folder, beside):
    hidden = "def test_z(request):\n    request.getfixturevalue('memorization')\n"
    folder("audits/a", GATE.format(1) * beside + hidden, student="student")
    (two.path / "audits/b/test_b.py").unlink()
    result = two.run()
    result.assert_outcomes(passed=int(beside), failed=1)
    assert "memorization was expected among the arguments of audits/a/test_a.py::test_z" in result.stdout.str()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["audits/b", "audits/a"], "both hold test_gates.py::test_rate"),
        (["audits"], "lies outside the root"),
        (["audits/a"], ""),
        (["audits", "--rootdir=."], ""),
    ],
)
def test_a_root_elsewhere_mixes_no_audits(two, folder, arguments, message):
    (two.path / "ci").mkdir()
    (two.path / "ci" / "pytest.ini").write_text("[pytest]\nkdmem_prefix_tokens=12\nkdmem_suffix_tokens=8\n")
    for name, student in (("a", "student"), ("b", "teacher")):
        folder(f"audits/{name}", "", student=student)
        (two.path / f"audits/{name}/test_{name}.py").unlink()
        (two.path / f"audits/{name}/test_gates.py").write_text(GATE.format(1))
    result = two.run("-c", "ci/pytest.ini", "--import-mode=importlib", "--kdmem-training-set=data.npy", *arguments)
    # Panels break lines where the paths of this machine fill them.
    output = " ".join((result.stdout.str() + result.stderr.str()).replace("│", " ").split())
    assert message in output
    assert (result.ret == pytest.ExitCode.OK) == (not message)
    assert ("add --rootdir=" in output) == bool(message)
