"""Columns and bins that do not fit together are refused when they are made."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_kdmem.auditing.schema_examples import DistributionsEntry, ModelDistributions, RepetitionBin
from tests.report.audits import audit_with_examples

AUDIT = audit_with_examples()


@pytest.mark.parametrize(
    "changed",
    [{"example_id": (1,)}, {"copies": (1,)}, {"risk": ()}, {"prefix": ("a",)}, {"suffix": ("a",)}],
    ids=lambda changed: next(iter(changed)),
)
def test_columns_of_different_lengths_are_refused(changed: dict[str, Any]) -> None:
    assert AUDIT.examples is not None
    with pytest.raises(ValueError, match="equally long"):
        replace(AUDIT.examples, **changed)


def test_a_models_columns_are_as_long_as_the_others() -> None:
    assert AUDIT.examples is not None
    student = replace(AUDIT.examples.models["student"], margin=(0.5,))
    with pytest.raises(ValueError, match="equally long"):
        replace(AUDIT.examples, models={"student": student})


def test_generated_text_stands_beside_the_text_of_examples_by_which_a_report_is_private() -> None:
    assert AUDIT.examples is not None
    rows = len(AUDIT.examples.example_id)
    for generated, error in ((("said",) * rows, "no generated text but beside"), (("said",), "equally long")):
        student = replace(AUDIT.examples.models["student"], generated=generated)
        with pytest.raises(ValueError, match=error):
            replace(AUDIT.examples, models={"student": student})


@pytest.mark.parametrize(("memorized", "n"), [(-1, 3), (4, 3), (0, 0)])
def test_a_bin_of_repetition_holds_what_is_memorized_of_it(memorized: int, n: int) -> None:
    with pytest.raises(ValueError, match="a bin of repetition"):
        RepetitionBin(1, 1, memorized, n)


def test_sizes_and_perplexities_come_in_pairs() -> None:
    with pytest.raises(ValueError, match="as many perplexities"):
        ModelDistributions((1,), 0, (), (90,), ())


def test_margins_are_counted_between_the_edges() -> None:
    margins = ModelDistributions((1, 2), 0, (), (), ())
    DistributionsEntry((-1.0, 0.0, 1.0), {"student": margins})
    with pytest.raises(ValueError, match="one edge more than counts of margins"):
        DistributionsEntry((-1.0, 0.0), {"student": margins})
