"""Gates on what is recited nearly, and on what is recited only after its own prefix, through the plugin."""

from __future__ import annotations

import numpy as np
import pytest
from transformers import AutoModelForCausalLM

# Which example of the teacher's own cell is changed, so that it is recited nearly and not exactly.
EDITED = 0


@pytest.fixture
def project(unscored_project, cast):
    rows = cast.rows.copy()
    # The walk of the models reaches another token of the region: at two of eight places only.
    rows[EDITED, -1], rows[EDITED, -3] = rows[EDITED, 0], rows[EDITED, 1]
    np.save("data.npy", rows)
    unscored_project.declare()
    return unscored_project


def test_a_gate_on_what_is_recited_nearly_is_held_and_stored(project, cast, monkeypatch):
    exact = len(cast.recited_by("teacher"))
    project.gates(
        f"""
        def test_nearly(near_verbatim, memorization, teacher):
            near = near_verbatim(teacher, delta=0.25)
            assert near.rate <= {exact}/20
            assert (memorization(teacher).count, near.rate.k) == ({exact - 1}, {exact})
            assert near.examples == {sorted(cast.recited_by("teacher"))}
            assert near_verbatim(teacher, delta=0.25) is near

        def test_too_near(near_verbatim, teacher):
            assert near_verbatim(teacher, delta=0.25).rate <= 0.1
        """
    )
    result = project.run()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*near-verbatim rate within 0.25 edits a token of teacher*"])
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", lambda *args, **options: pytest.fail("a model loads"))
    project.run().assert_outcomes(passed=1, failed=1)


def test_what_a_model_says_after_any_prefix_is_common(project, cast):
    """The models look at the last token alone, so after another prefix they recite no suffix: all are specific."""
    project.gates(
        """
        def test_specific(specific_memorization, memorization, student):
            specific = specific_memorization(student)
            assert specific.rate <= memorization(student).rate
            assert specific.examples == memorization(student).examples
            assert specific.common_share <= 0

        def test_nothing_is_likelier_than_certain(specific_memorization, student):
            assert specific_memorization(student, n=10**9, p=0.001).common_share <= 1
        """
    )
    project.run().assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("near_verbatim(student, delta=1.5).rate", "*expected as delta; found 1.5*"),
        ("near_verbatim(student, run=9).rate", "*at most the 8 tokens*found 9*"),
        ("near_verbatim('student').rate", "*A Model was expected as student*"),
        ("specific_memorization(student, n=0).rate", "*n ≥ 1 and 0 < p < 1 were expected*found n = 0*"),
    ],
)
def test_what_cannot_be_measured_fails_in_one_sentence(project, call, message):
    project.gates(
        f"""
        def test_gate(near_verbatim, specific_memorization, student):
            assert {call} <= 0.5
        """
    )
    result = project.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([message])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_comparison_that_is_written_and_never_made_fails(project):
    project.gates(
        """
        def test_gate(near_verbatim, specific_memorization, student):
            near = near_verbatim(student, delta=0.25)
            assert near.rate <= 0.5
            if near is None:
                assert near.rate <= 0.5
            specific = specific_memorization(student)
            if specific is None:
                assert specific.common_share <= 0.5
        """
    )
    result = project.run()
    assert result.ret == 10
    result.stdout.fnmatch_lines(["*line*"])
