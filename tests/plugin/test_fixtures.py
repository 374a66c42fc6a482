"""The trainer as a fixture and as a command: trains once, audits what it trained, overwrites nothing."""

from __future__ import annotations

import datasets  # noqa: F401  pytester forgets modules loaded inside it, and this one registers itself only once
import numpy as np
import pytest

from pytest_kdmem.cli import main
from tests.audit_project import NOISE


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "rows.npy"
    np.save(path, np.random.default_rng(0).integers(1, 290, (8, 24)))
    return path


def test_the_fixture_trains_once_and_its_model_is_audited(pytester, tiny, rows):
    pytester.makeconftest(
        f"""
        import pytest
        from pytest_kdmem import Model, TrainingSet

        @pytest.fixture(scope="session")
        def teacher():
            return Model({str(tiny)!r})

        @pytest.fixture(scope="session")
        def training_set():
            return TrainingSet({str(rows)!r})
        """
    )
    pytester.makepyfile(
        f"""
        import os
        from pytest_kdmem import Model

        def test_student(distiller, memorization):
            how = dict(init=Model({str(tiny)!r}), mode="soft", epochs=1, batch_size=4, learning_rate=1e-3)
            student = distiller(**how)
            trained = os.stat(student.source).st_mtime_ns
            assert distiller(**how) == student
            assert os.stat(student.source).st_mtime_ns == trained
            assert distiller(**(how | dict(temperature=4.0))) != student
            assert memorization(student).rate <= 1
        """
    )
    result = pytester.runpytest_inprocess(
        "--kdmem-prefix-tokens=8", "--kdmem-suffix-tokens=8", "--kdmem-window-tokens=24", NOISE, "-p", "no:xdist"
    )
    result.assert_outcomes(passed=1)


def test_ctrl_c_in_a_training_of_the_fixture_ends_the_run_and_keeps_the_step(pytester, tiny, rows):
    pytester.makeconftest(
        f"""
        import pytest
        from pytest_kdmem import Model, TrainingSet

        @pytest.fixture(scope="session")
        def training_set():
            return TrainingSet({str(rows)!r})
        """
    )
    pytester.makepyfile(
        f"""
        import signal
        import pytest
        from pytest_kdmem import Model
        from pytest_kdmem.distill.callback import DistillationCallback

        @pytest.mark.parametrize("attempt", range(2))
        def test_student(distiller, memorization, monkeypatch, attempt):
            def press(*_arguments, **_context):
                signal.raise_signal(signal.SIGINT)

            monkeypatch.setattr(DistillationCallback, "on_step_begin", press)
            distiller(init=Model({str(tiny)!r}), mode="baseline", epochs=2, batch_size=4, learning_rate=1e-3)
        """
    )
    lengths = ("--kdmem-prefix-tokens=8", "--kdmem-suffix-tokens=8", "--kdmem-window-tokens=24")
    result = pytester.runpytest_inprocess(*lengths, NOISE, "-p", "no:xdist")
    assert result.ret == 130
    result.stdout.fnmatch_lines(["*Training stopped at step 1 of *, as Ctrl-C asked, and every step is saved*"])
    result.assert_outcomes()


def test_an_audits_student_can_be_made_by_the_fixture(pytester, tiny, rows):
    pytester.makeconftest(
        f"""
        import pytest
        from pytest_kdmem import Model, TrainingSet

        @pytest.fixture(scope="session")
        def teacher():
            return Model({str(tiny)!r})

        @pytest.fixture(scope="session")
        def training_set():
            return TrainingSet({str(rows)!r})

        @pytest.fixture(scope="session")
        def baseline(distiller):
            return distiller(init=Model({str(tiny)!r}), mode="baseline", epochs=1, batch_size=4)

        @pytest.fixture(scope="session")
        def student(distiller):
            return distiller(init=Model({str(tiny)!r}), epochs=1, batch_size=4, micro_batch_size=2)
        """
    )
    pytester.makepyfile(
        """
        def test_student(inheritance, memorization, student):
            assert memorization(student).rate <= 1
            assert inheritance().inherited >= 0
        """
    )
    result = pytester.runpytest_inprocess(
        "-v", "--kdmem-prefix-tokens=8", "--kdmem-suffix-tokens=8", "--kdmem-window-tokens=24", NOISE, "-p", "no:xdist"
    )
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*student: soft, forward KL, T = 2, teacher *"])


def test_the_command_trains_into_a_new_folder_and_leaves_others_alone(tiny, rows, tmp_path, capsys):
    out = tmp_path / "student"
    command = ["distill", "--init", str(tiny), "--teacher", str(tiny), "--train", str(rows), "--out", str(out)]
    command += ["--epochs", "1", "--prefix-tokens", "8", "--suffix-tokens", "8", "--window-tokens", "24"]
    with pytest.raises(SystemExit) as first:
        main(command)
    assert first.value.code == 0
    assert (out / "model.safetensors").is_file()
    with pytest.raises(SystemExit) as again:
        main(command)
    assert again.value.code == 2
    assert "holds files already" in capsys.readouterr().err
