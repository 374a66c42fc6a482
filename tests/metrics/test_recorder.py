"""Every comparison of an estimate is kept while audits run, whichever thread makes it; other processes refuse."""

from __future__ import annotations

import copy
import inspect
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from pytest_kdmem.errors import ComparisonError, SpecError
from pytest_kdmem.metrics import recorder as recording
from pytest_kdmem.metrics.bounds import Counts, estimate_proportion
from pytest_kdmem.metrics.estimate import Comparison, Estimate
from pytest_kdmem.metrics.recorder import AUDIT_PROCESS, Recorded, Recorder, Refused


def rate(k: int, subject: str = "student") -> Estimate:
    return estimate_proportion("memorization rate", subject, Counts(k, 1000), exhaustive=False)


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    earlier = recording.current_recorder()
    recorder = recording.open_recorder()
    recorder.of_test = []
    yield recorder
    recording.close_recorder(recorder, earlier)


def sides(entries: list[Recorded]) -> list[object]:
    return [(entry.operator, entry.threshold) for entry in entries if isinstance(entry, Comparison)]


def test_comparisons_are_kept_whichever_side_and_thread_they_are_of(recorder: Recorder) -> None:
    estimate, baseline = rate(19), rate(50, "baseline")
    _ = estimate <= 0.05
    _ = np.float64(0.01) >= estimate
    _ = estimate < baseline
    _ = np.array([estimate], object) <= 0.2
    _ = copy.deepcopy(estimate) <= 0.3
    ThreadPoolExecutor(1).submit(lambda: estimate <= 0.4).result()
    assert sides(recorder.of_test or []) == [
        ("<=", 0.05), ("<=", 0.01), ("<", baseline), ("<=", 0.2), ("<=", 0.3), ("<=", 0.4)
    ]  # fmt: skip


@pytest.mark.parametrize(
    "use",
    [
        "estimate > 0.5",
        "min(estimate, 0.01)",
        "sorted([estimate, 0.01])",
        "0.001 <= estimate <= 0.01",
        "estimate == 0",
        "estimate in (0.0, 0.01)",
        "not estimate",
        "estimate <= 5",
        "estimate <= np.array([0.01])",
        "np.array([0.01]) >= estimate",
        "estimate <= '0.01'",
    ],
)
def test_what_is_refused_is_kept_though_the_error_is_caught(recorder: Recorder, use: str) -> None:
    message = ""
    try:
        eval(use, {"estimate": rate(900), "np": np})
    except (SpecError, TypeError) as error:
        message = str(error)
    reasons = [entry.reason for entry in recorder.of_test or [] if isinstance(entry, Refused)]
    assert reasons == [message]


def test_of_two_models_the_student_stands_on_the_side_that_protects(recorder: Recorder) -> None:
    student, baseline = rate(19), rate(50, "baseline")
    assert baseline >= student
    with pytest.raises(ComparisonError, match="write `assert … >= other`"):
        _ = baseline <= student
    assert [type(entry) for entry in recorder.of_test or []] == [Comparison, Refused]


def test_what_is_compared_outside_of_a_test_is_kept_apart(recorder: Recorder) -> None:
    of_test, recorder.of_test = recorder.of_test, None
    _ = rate(19) > 0.5  # no gate, so that nothing is refused until the session ends
    assert (of_test, sides(recorder.outside)[-1]) == ([], (">", 0.5))


def test_without_audits_an_estimate_compares_either_way() -> None:
    assert rate(900) > 0.5
    assert AUDIT_PROCESS not in os.environ


def compare(estimate: Estimate) -> None:
    with suppress(ComparisonError):
        _ = estimate <= 0.01


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_another_process_refuses_to_compare_and_leaves_word(recorder: Recorder, method: str) -> None:
    child = multiprocessing.get_context(method).Process(target=compare, args=(rate(900),))
    child.start()
    child.join()
    [refusal] = recorder.take_refusals()
    assert "compared in the process of its audit" in refusal.reason
    assert recorder.take_refusals() == []
    assert recorder.of_test == []


def test_in_another_process_no_comparison_is_made_whether_or_not_word_can_be_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    word = tmp_path / "a:b"
    for refusals in (word, tmp_path / "missing" / "folder", word):
        monkeypatch.setenv(AUDIT_PROCESS, f"1:{refusals}")
        with pytest.raises(ComparisonError, match="where each comparison is a gate") as caught:
            _ = rate(1) <= 0.5
    recorder = Recorder(refusals=word)
    assert recorder.take_refusals() == [Refused(str(caught.value))]  # once, though it was left twice
    assert recorder.take_refusals() == []
    word.write_bytes(b"cut \xff\n")
    assert recorder.take_refusals() == [Refused("cut \ufffd")]
    assert Recorder(refusals=tmp_path / "none").take_refusals() == Recorder().take_refusals() == []


def test_a_session_within_another_hands_back_to_it(recorder: Recorder) -> None:
    outer = os.environ[AUDIT_PROCESS]
    inner = recording.open_recorder()
    assert recording.current_recorder() is inner
    assert os.environ[AUDIT_PROCESS] not in ("", outer)
    assert inner.refusals is not None
    inner.refusals.unlink()  # as a cleaner of temporary files may do
    recording.close_recorder(inner, recorder)
    assert recording.current_recorder() is recorder
    assert os.environ[AUDIT_PROCESS] == outer
    _ = rate(19) <= 0.4
    assert sides(recorder.of_test or [])[-1] == ("<=", 0.4)


def test_nothing_of_a_session_is_left_behind_though_its_tests_cleared_the_environment(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = recording.open_recorder()
    assert session.refusals is not None
    assert session.refusals.is_file()
    monkeypatch.delenv(AUDIT_PROCESS)
    recording.close_recorder(session)
    assert not session.refusals.exists()
    assert AUDIT_PROCESS not in os.environ


def test_what_is_compared_before_a_session_belongs_to_it_unless_it_is_forgotten() -> None:
    earlier = recording.current_recorder()
    recording.forget_earlier_comparisons()
    for comparisons in (["<="], []):
        for _ in comparisons:
            assert rate(19) <= 0.3
        recorder = recording.open_recorder()
        assert sides(recorder.outside) == [("<=", 0.3)] * len(comparisons)
        recording.close_recorder(recorder, earlier)
        recording.forget_earlier_comparisons()


def test_a_comparison_is_kept_with_its_place(recorder: Recorder) -> None:
    estimate, line = rate(19), inspect.currentframe().f_lineno  # type: ignore[union-attr]
    held = [estimate <= 0.5, estimate <= 0.4]
    assert held == [True, True]
    begin = Path(__file__).read_text(encoding="utf-8").splitlines()[line].index
    ends = [(begin(text), begin(text) + len(text)) for text in ("estimate <= 0.5", "estimate <= 0.4")]
    assert recorder.places == {__file__: {(line + 1, line + 1, *columns) for columns in ends}}
