"""What agreements and disagreements of engine checks imply, in values worked out by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_kdmem.errors import EngineError
from pytest_kdmem.scoring.check_sample import CheckSample, Expected
from pytest_kdmem.scoring.confirmation import (
    Confirmation,
    Disagreement,
    EngineCheck,
    EngineVerdicts,
    compare_verdicts,
    power_of_two_above,
)


def sample_of(
    *margins: float | None, ambiguous: tuple[int, ...] = (), memorized: tuple[int, ...] = (), all_ambiguous: int = 0
) -> CheckSample:
    """Examples 10, 11, … with these margins."""
    rows = tuple(
        Expected(10 + row, "", row in memorized, row in ambiguous, margin) for row, margin in enumerate(margins)
    )
    return CheckSample(rows, examples=100, ambiguous=all_ambiguous or len(ambiguous))


def scored(memorized: list[bool], margins: list[float], engine: str = "transformers") -> EngineVerdicts:
    return EngineVerdicts(engine, "scored", np.array(memorized), np.array(margins, dtype=np.float64))


def decoded(memorized: list[bool], engine: str = "transformers") -> EngineVerdicts:
    return EngineVerdicts(engine, "decoded", np.array(memorized, dtype=bool), np.full(len(memorized), np.nan))


def test_agreement_is_counted_for_each_engine_check():
    sample = sample_of(0.5, -4.0, memorized=(0,))
    verdicts = [scored([True, False], [0.5, -4.0]), decoded([True, False])]
    confirmation = compare_verdicts(sample, verdicts, tolerance=2.0**-13)
    checks = (EngineCheck("transformers", "scored", 2, ()), EngineCheck("transformers", "decoded", 2, ()))
    assert confirmation == Confirmation(100, 0, 2, 0, checks, 2.0**-13, 0.0)
    assert confirmation.implied_tolerance == 0.0
    assert confirmation.within_claimed_tolerance
    assert not confirmation.warnings("student")


def test_a_difference_beyond_the_claimed_tolerance_is_a_warning():
    confirmation = compare_verdicts(sample_of(0.5), [scored([False], [0.75])], tolerance=2.0**-13)
    (warning,) = confirmation.warnings("student")
    assert warning.startswith("student: margins differ by more than the tolerance that its run claimed")
    assert confirmation.outside_band == 0
    confirmation.check("student")


def test_ambiguous_examples_and_those_of_them_that_were_checked_are_counted_apart():
    sample = sample_of(None, None, ambiguous=(0, 1), all_ambiguous=50)
    confirmation = compare_verdicts(sample, [decoded([False, False])], tolerance=1.0)
    assert (confirmation.ambiguous, confirmation.ambiguous_checked) == (50, 2)


def test_the_implied_tolerance_covers_the_greatest_difference_between_any_two_margins():
    """Row 0: 0.02 between table and vllm; row 1: 0.05 between two checks; row 2 has one known margin only."""
    sample = sample_of(0.5, None, None, memorized=(0,))
    verdicts = [
        scored([True, False, False], [0.51, -7.00, -9.0]),
        scored([True, False, False], [0.52, -7.05, math.nan], "vllm"),
        decoded([True, False, False], "vllm"),
    ]
    confirmation = compare_verdicts(sample, verdicts, tolerance=2.0**-5)
    assert confirmation.greatest_difference == pytest.approx(0.05)
    assert confirmation.implied_tolerance == 2.0**-4  # 0.0625 ≥ 0.05 > 0.03125
    assert not confirmation.within_claimed_tolerance
    confirmation.check("student")  # no verdict differs


def test_the_implied_tolerance_covers_the_margins_of_disagreements():
    sample = sample_of(0.003, -2.0, ambiguous=(0,), memorized=(0,))
    confirmation = compare_verdicts(sample, [decoded([False, False])], tolerance=2.0**-8)
    assert confirmation.greatest_difference is None
    assert confirmation.implied_tolerance == 2.0**-8  # 0.0039 ≥ 0.003 > 0.00195
    assert confirmation.engine_checks[0].disagreements == (Disagreement(10, True, False, True, 0.003),)
    assert confirmation.within_claimed_tolerance
    assert confirmation.outside_band == 0
    confirmation.check("student")


def test_where_the_table_has_no_margin_the_farthest_one_of_the_checks_is_reported():
    verdicts = [
        scored([True, False], [0.25, -3.0]),
        scored([True, False], [0.125, -3.0], "vllm"),
        decoded([False, True], "vllm"),
    ]
    confirmation = compare_verdicts(sample_of(None, None), verdicts, tolerance=2.0**-10)
    margins = [entry.margin for check in confirmation.engine_checks for entry in check.disagreements]
    assert margins == [0.25, 0.25, -3.0]
    assert confirmation.implied_tolerance == 4.0
    assert confirmation.outside_band == 3


def test_a_disagreement_whose_margin_no_check_knows_is_reported_without_one():
    confirmation = compare_verdicts(sample_of(None), [decoded([True])], tolerance=0.1)
    assert confirmation.engine_checks[0].disagreements[0].margin is None
    assert confirmation.implied_tolerance is None
    with pytest.raises(EngineError, match="margin unknown"):
        confirmation.check("student")


def test_where_no_margin_is_known_twice_no_tolerance_is_implied():
    confirmation = compare_verdicts(sample_of(None, -1.0), [scored([False, False], [-3.0, math.nan])], tolerance=0.1)
    assert confirmation.greatest_difference is None
    assert confirmation.implied_tolerance is None
    assert confirmation.within_claimed_tolerance


def test_a_disagreement_outside_the_band_is_an_error_of_one_sentence():
    sample = sample_of(2.5, 0.001, -1.0, ambiguous=(1,), memorized=(0, 1))
    verdicts = [scored([True, False, False], [2.5, 0.001, -1.0]), decoded([False, False, True]), decoded([False] * 3)]
    confirmation = compare_verdicts(sample, verdicts, tolerance=2.0**-9)
    assert confirmation.outside_band == 3
    with pytest.raises(EngineError) as caught:
        confirmation.check("student")
    message = str(caught.value)
    assert "student" in message
    assert "transformers decoded differs on 2 of 3 examples (first: example 10, margin 2.5)" in message
    assert "1 of the other engine checks differs as well" in message
    assert "--kdmem-dtype float32" in message
    assert "\n" not in message


@pytest.mark.parametrize("verdicts", [[], [decoded([])]], ids=["no engine check", "no example"])
def test_a_confirmation_without_checks_or_examples_is_an_error(verdicts):
    with pytest.raises(EngineError, match="none was checked"):
        compare_verdicts(sample_of(), verdicts, tolerance=1.0).check("student")


CONFIRMATION = Confirmation(
    examples=100,
    ambiguous=1,
    checked=3,
    ambiguous_checked=1,
    engine_checks=(
        EngineCheck("transformers", "scored", 3, ()),
        EngineCheck(
            "vllm", "decoded", 3, (Disagreement(10, True, False, False, 2.5), Disagreement(12, False, True, True, None))
        ),
    ),
    claimed_tolerance=2.0**-9,
    greatest_difference=None,
)
# As the first release that stored confirmations wrote it.
STORED = """
{"examples": 100, "ambiguous": 1, "checked": 3, "ambiguous_checked": 1, "witnesses": [
  {"engine": "transformers", "way": "scored", "checked": 3, "disagreements": []},
  {"engine": "vllm", "way": "decoded", "checked": 3, "disagreements": [
    {"example_id": 10, "claimed": true, "found": false, "ambiguous": false, "margin": 2.5},
    {"example_id": 12, "claimed": false, "found": true, "ambiguous": true, "margin": null}]}],
 "claimed_tolerance": 0.001953125, "greatest_difference": null}
"""


def test_a_confirmation_is_stored_by_the_keys_of_earlier_versions_and_read_from_them():
    assert json.loads(json.dumps(CONFIRMATION.to_json(), allow_nan=False)) == json.loads(STORED)
    assert Confirmation.from_json(json.loads(STORED)) == CONFIRMATION


@pytest.mark.parametrize("path", [[], ["witnesses", 1], ["witnesses", 1, "disagreements", 0]])
@pytest.mark.parametrize("change", ["missing", "unknown"])
def test_content_of_other_fields_is_no_confirmation(path, change):
    content = json.loads(STORED)
    entry = content
    for step in path:
        entry = entry[step]
    if change == "missing":
        entry.popitem()
    else:
        entry["colour"] = "red"
    with pytest.raises(TypeError):
        Confirmation.from_json(content)


@pytest.mark.parametrize(
    ("value", "power"),
    [
        (0.0, 0.0),
        (1.0, 1.0),
        (1.0001, 2.0),
        (0.75, 1.0),
        (0.5, 0.5),
        (2.0**-13, 2.0**-13),
        (3e-5, 2.0**-15),
        (3.0, 4.0),
    ],
)
def test_powers_of_two_worked_out_by_hand(value, power):
    assert power_of_two_above(value) == power


@given(st.floats(1e-300, 1e300))
def test_the_power_of_two_is_the_least_that_is_not_below_the_value(value):
    power = power_of_two_above(value)
    assert math.frexp(power)[0] == 0.5
    assert power / 2 < value <= power
