"""Gates as users meet them: exit code, outcome, and the line that tells why."""

from __future__ import annotations

import re

import numpy as np
import pytest

RELEASE = """
def test_rate(memorization, student):
    assert memorization(student).rate <= {rate}

def test_reduction(inheritance):
    assert inheritance().reduction >= {reduction}

def test_ratio(inheritance):
    assert inheritance().ratio <= {ratio}
"""


def test_green_audit_exits_0(unscored_project):
    # Over everything the figures are exact, so the thresholds may be the figures themselves.
    unscored_project.gates(RELEASE.format(rate=5 / 20, reduction=1.4, ratio=1 / 4))
    result = unscored_project.run()
    result.assert_outcomes(passed=3)
    assert result.ret == pytest.ExitCode.OK


def test_red_audit_exits_1_and_says_why_in_one_line_each(audit_project):
    audit_project.gates(RELEASE.format(rate=0.24, reduction=1.41, ratio=0.24))
    result = audit_project.run()
    result.assert_outcomes(failed=3)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert audit_project.failures(result) == [
        "FAILED test_audit.py::test_rate - memorization rate of student 25.00% (5 of 20) > 24.00%",
        "FAILED test_audit.py::test_reduction - reduction of student 1.40 × (20 examples) < 1.41 ×",
        "FAILED test_audit.py::test_ratio - inheritance ratio of student 25.00% (1 of 4) > 24.00%",
    ]


def test_two_models_compared_name_each_other(audit_project):
    audit_project.declare(student=audit_project.cast.baseline, baseline=audit_project.cast.student)
    audit_project.gates("""
        def test_less(memorization, student, baseline):
            assert memorization(student).rate < memorization(baseline).rate

        def test_mirrored(memorization, student, baseline):
            assert memorization(baseline).rate >= memorization(student).rate
    """)
    lines = audit_project.failures(audit_project.run())
    assert lines[0].endswith("- memorization rate of student 35.00% (7 of 20) ≥ 25.00% (5 of 20) of baseline")
    assert lines[1].endswith("- memorization rate of baseline 25.00% (5 of 20) < 35.00% (7 of 20) of student")


def test_threshold_on_the_left_is_the_same_gate(audit_project):
    audit_project.gates("""
        def test_mirrored(memorization, student):
            assert 0.1 >= memorization(student).rate
    """)
    result = audit_project.run()
    result.stdout.fnmatch_lines(["FAILED *- memorization rate of student 25.00% (5 of 20) > 10.00%"])


def test_sets_are_the_known_ones(audit_project):
    cast = audit_project.cast
    sets = {role: sorted(cast.recited_by(role)) for role in ("teacher", "baseline", "student")}
    inherited = sorted(cast.recited_by("teacher") & cast.recited_by("student") - cast.recited_by("baseline"))
    audit_project.gates(f"""
        from pytest import approx

        def test_sets(memorization, teacher, baseline, student):
            for model, expected in zip((teacher, baseline, student), {list(sets.values())}):
                scored = memorization(model)
                assert (scored.examples, scored.count, scored.ambiguous) == (expected, len(expected), 0)
                assert (scored.rate.k, scored.rate.n, scored.rate.value) == (len(expected), 20, len(expected) / 20)

        def test_inheritance(inheritance):
            result = inheritance()
            assert result.cells == {{
                "teacher": 3, "baseline": 3, "student": 1, "teacher+baseline": 1, "teacher+student": 1,
                "baseline+student": 1, "all": 2, "none": 8,
            }}
            assert result.inherited_examples == {inherited}
            assert (result.inherited, result.easy) == (1, 2)
            assert result.ratio.value == approx(1 / 4)
            assert result.share.value == approx(1 / 5)
            assert result.easy_share.value == approx(2 / 5)
            assert result.reduction.value == approx(7 / 5)
            # Discordant pairs: 4 rows of the baseline's (3 + 1), 2 of the student's: P(|X - 3| >= 1), X ~ Bin(6, 1/2).
            assert result.p_value == approx(1 - 20 / 64)
    """)
    audit_project.run().assert_outcomes(passed=2)


def test_sample_brings_a_bound_and_the_bound_decides(audit_project):
    audit_project.declare(data='TrainingSet("data.npy", sample=12)')
    audit_project.gates("""
        import pytest
        from scipy.stats import beta

        def test_bound(memorization, student):
            rate = memorization(student).rate
            assert (rate.n, rate.exhaustive) == (12, False)
            assert rate.high == pytest.approx(beta.ppf(0.95, rate.k + 1, rate.n - rate.k))
            assert rate.high > rate.value

        def test_gate(memorization, student):
            rate = memorization(student).rate
            assert rate <= rate.value + 0.01
    """)
    result = audit_project.run()
    result.assert_outcomes(passed=1, failed=1)
    [line] = audit_project.failures(result)
    assert "memorization rate of student" in line
    assert "[≤ " in line
    assert " of 12) > " in line
    result.stdout.fnmatch_lines(["*The point estimate meets the threshold and its bound does not*"])


def test_too_few_examples_are_inconclusive_and_fail(audit_project):
    np.save(audit_project.path / "unseen.npy", audit_project.cast.rows[-8:])
    audit_project.gates("""
        from pytest_kdmem import TrainingSet

        def test_rate(memorization, student):
            assert memorization(student, TrainingSet("unseen.npy", sample=6)).rate <= 0.001
    """)
    result = audit_project.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    [line] = audit_project.failures(result)
    # 1 − 0.05^(1/6) is the bound of 0 of 6, and ln 0.05 / ln 0.999 = 2994.2.
    shown = "of student on unseen.npy (sample 6) 0.00% [≤ 39.30%] (0 of 6) cannot show ≤ 0.10% with 6 examples"
    assert f"memorization rate {shown}" in line
    result.stdout.fnmatch_lines(["*inconclusive*", "*t least 2 995 examples would decide it*"])


def test_zero_of_n_is_never_printed_bare(audit_project):
    np.save(audit_project.path / "unseen.npy", audit_project.cast.rows[-8:])
    audit_project.gates("""
        from pytest_kdmem import TrainingSet

        def test_fewer_than_none(memorization, student):
            assert memorization(student, TrainingSet("unseen.npy")).rate < 0
    """)
    [line] = audit_project.failures(audit_project.run())
    assert "0.00% [exact] (0 of 8) ≥ 0.00%" in line


def test_missing_declaration_is_an_error_in_one_sentence(unscored_project):
    unscored_project.declare(baseline=None)
    unscored_project.gates(RELEASE.format(rate=1, reduction=1, ratio=1))
    result = unscored_project.run()
    result.assert_outcomes(errors=3)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    for line in unscored_project.failures(result):
        assert "A baseline was expected by this audit, and none is declared" in line
    assert_no_traceback(result)
    assert unscored_project.shards == []


def test_audit_that_needs_no_baseline_asks_for_none(audit_project):
    audit_project.declare(baseline=None, teacher=None)
    audit_project.gates(RELEASE.split("\n\n")[0].format(rate=0.25))
    audit_project.run().assert_outcomes(passed=1)


def test_missing_folder_is_an_error_in_one_sentence_before_anything_is_scored(unscored_project):
    unscored_project.declare(student="no/such/student")
    unscored_project.gates(RELEASE.format(rate=1, reduction=1, ratio=1))
    result = unscored_project.run()
    result.assert_outcomes(errors=3)
    assert all("no/such/student, and there is none" in line for line in unscored_project.failures(result))
    assert_no_traceback(result)
    assert unscored_project.shards == []


def test_own_error_while_the_test_runs_is_an_error_not_a_failure(audit_project):
    audit_project.gates("""
        from pytest_kdmem import Model

        def test_other(memorization):
            assert memorization(Model("no/such/folder")).rate <= 1
    """)
    result = audit_project.run()
    result.assert_outcomes(errors=1, failed=0)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["ERROR test_audit.py::test_other - *A model folder was expected at no/such/folder*"])
    assert_no_traceback(result)


def test_any_other_exception_keeps_its_traceback(audit_project):
    audit_project.gates("""
        def test_broken(memorization, student):
            memorization(student)
            raise ZeroDivisionError("a bug of the audit's own")
    """)
    result = audit_project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([">*raise ZeroDivisionError*", "FAILED *ZeroDivisionError: a bug of the audit's own"])


def test_an_estimate_alone_is_no_verdict(audit_project):
    audit_project.gates("""
        def test_forgot_the_threshold(memorization, student):
            assert memorization(student).rate
    """)
    result = audit_project.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*compare it: `<= threshold`*"])


def test_utility_gate_compares_losses_on_the_control_set(audit_project):
    cast = audit_project.cast
    unseen = np.random.default_rng(3).integers(1, 299, (6, 20), dtype=np.int32)
    np.save(audit_project.path / "control.npy", unseen)
    losses = {role: mean_loss(getattr(cast, role), unseen) for role in ("student", "baseline")}
    audit_project.configure(kdmem_control_set="control.npy")
    audit_project.gates(f"""
        from pytest import approx

        def test_figures(memorization, student, baseline, control_set):
            assert memorization(student, control_set).loss.value == approx({losses["student"]}, rel=1e-4)
            assert memorization(baseline, control_set).loss.value == approx({losses["baseline"]}, rel=1e-4)

        def test_as_useful(memorization, student, baseline, control_set):
            assert memorization(student, control_set).loss <= memorization(baseline, control_set).loss
    """)
    result = audit_project.run()
    assert losses["student"] > losses["baseline"]
    result.assert_outcomes(passed=1, failed=1)
    [line] = audit_project.failures(result)
    expected = (
        f"loss of student on control set {losses['student']:.4f} nats a token (6 examples)"
        f" > {losses['baseline']:.4f} nats a token (6 examples) of baseline on control set"
    )
    assert expected in line


def test_confirm_agrees_with_the_scores(audit_project):
    audit_project.gates(RELEASE.format(rate=1, reduction=1, ratio=1))
    audit_project.run("--kdmem-confirm").assert_outcomes(passed=3)


def mean_loss(folder, ids: np.ndarray) -> float:
    """Mean negative log-likelihood of the predicted tokens, by transformers' own loss."""
    import torch
    from transformers import AutoModelForCausalLM

    tokens = torch.from_numpy(ids.astype(np.int64))
    with torch.inference_mode():
        return float(AutoModelForCausalLM.from_pretrained(folder).eval()(input_ids=tokens, labels=tokens).loss)


def assert_no_traceback(result: pytest.RunResult) -> None:
    text = result.stdout.str() + result.stderr.str()
    assert "Traceback" not in text
    assert "INTERNALERROR" not in text
    # The place of a panel's gate stands at its foot.
    assert not [line for line in result.outlines if re.search(r"\.py:\d", line) and not line.startswith("╰")]


LOOKED_AT = """
    def test_looked(memorization, student, thresholds):
        strict = memorization(student).rate <= 0.0
        assert 1 == 2, "zq001x the real reason"
"""


def test_what_fails_after_a_comparison_that_was_looked_at_is_what_failed(audit_project):
    audit_project.gates(LOOKED_AT)
    result = audit_project.run("--kdmem-report=audit.json")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*AssertionError: zq001x the real reason"])
    gates = audit_project.report("audit.json").gates
    assert [(gate.metric, gate.outcome) for gate in gates] == [("memorization rate", "fail"), ("", "fail")]


def test_what_an_audit_s_own_assert_says_goes_no_further_than_the_log(audit_project):
    """It could quote the training set, and reports are sent about."""
    audit_project.gates(LOOKED_AT)
    names = ["audit.json", "audit.html", "audit.md", "audit.sarif"]
    audit_project.run(*(f"--kdmem-report={name}" for name in names))
    texts = [(audit_project.path / name).read_text() for name in names]
    assert not [name for name, text in zip(names, texts, strict=True) if "zq001x" in text]
    assert "AssertionError: its message is in the log" in texts[0]
