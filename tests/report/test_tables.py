"""Tables of models and inheritance fit the terminal, and show whole numbers whatever is cut."""

from __future__ import annotations

import io
import math
import re
from dataclasses import replace

import pytest
from rich.console import Console, RenderableType

from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema_examples import DistributionsEntry, ModelDistributions
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.report.glyphs import ASCII, UNICODE, Glyphs
from pytest_kdmem.report.tables import inheritance_table, models_table
from pytest_kdmem.report.venn import inheritance_line
from tests.report.audits import full_audit, million_examples_audit, rate

WIDTHS = [60, 80, 120, 200]


def print_lines(table: RenderableType, width: int) -> list[str]:
    sink = io.StringIO()
    Console(file=sink, width=width, color_system=None).print(table)
    return [line.rstrip() for line in sink.getvalue().splitlines()]


def models_lines(audit: AuditResult, width: int = 120, glyphs: Glyphs = UNICODE) -> list[str]:
    return print_lines(models_table(audit, glyphs, width), width)


def line_of(role: str, lines: list[str]) -> str:
    (line,) = (line for line in lines if line.strip().startswith(role))
    return line


@pytest.mark.parametrize("width", WIDTHS)
def test_a_long_model_name_is_cut_before_its_numbers(width: int) -> None:
    name = "pythia-2.8b-deduped-step115000-of-the-second-run"
    audit = full_audit(
        models={name: full_audit().models["student"]}, memorization={name: rate(19, 1000, name)}, held_out={}
    )
    line = line_of("pythia", models_lines(audit, width))
    for number in ("19", "1.90%", "≤ 2.78%"):
        assert number in line
    assert len(line) <= width


@pytest.mark.parametrize("width", WIDTHS)
def test_numbers_over_a_million_examples_are_shown_whole(width: int) -> None:
    line = line_of("teacher ", models_lines(million_examples_audit(), width))
    for number in ("3 327", "0.33%", "≤ 0.34%"):
        assert number in line


def test_models_stand_in_the_order_of_their_roles() -> None:
    lines = models_lines(million_examples_audit())
    assert [line.split()[0] for line in lines if " B  " in line] == ["teacher", "baseline", "student", "pythia-2.8b"]


def test_a_rate_of_zero_is_shown_with_its_bound() -> None:
    line = line_of("student", models_lines(million_examples_audit(memorization={"student": rate(0, 1000)})))
    assert re.search(r"student .* 0\.00% +≤ 0\.30%", line)


def test_a_rate_over_the_whole_training_set_is_exact() -> None:
    audit = full_audit(memorization={"student": rate(1, 9, exhaustive=True)})
    assert " exact " in line_of("student", models_lines(audit))


def distributions(*margins: int) -> DistributionsEntry:
    """Counts of the student's examples by margin, from −4 to 4 logits."""
    model = ModelDistributions(margins, 0, (), (), ())
    return DistributionsEntry(tuple(float(edge) for edge in range(-4, 5)), {"student": model})


def test_margins_are_drawn_on_both_sides_of_zero_each_to_its_own_scale() -> None:
    audit = full_audit(distributions=distributions(0, 0, 70, 30, 1, 1, 4, 4))
    # −2 to 0 holds all examples of the left side, and 2 to 4 most examples of the right side.
    assert line_of("student", models_lines(audit)).endswith("    █|▂█")
    assert line_of("student", models_lines(audit, glyphs=ASCII)).endswith("    #|:#")


def test_without_margins_there_is_no_column_for_them() -> None:
    assert "margins" in models_lines(full_audit(distributions=distributions(*[1] * 8)))[0]
    for audit in (full_audit(), full_audit(distributions=distributions(*[0] * 8))):
        assert "margins" not in models_lines(audit)[0]


def test_bars_of_inheritance_are_as_long_as_their_cells_are_large() -> None:
    entry = full_audit().inheritance
    assert entry is not None
    lines = print_lines(inheritance_table(entry, UNICODE, 100), 100)
    bars = {re.split(r" {2,}", line)[1]: line.count("█") for line in lines[1:8]}
    longest = bars["teacher alone"]  # of 31 examples
    assert bars["inherited from the teacher"] == round(longest * 25 / 31)
    assert bars["student alone"] == round(longest / 31)
    assert bars["baseline and student"] == 0
    assert lines[4].startswith("● · ●  inherited")


def test_undefined_and_infinite_estimates_are_words() -> None:
    entry = full_audit().inheritance
    assert entry is not None
    infinite = Estimate("reduction", "student", math.inf, 3.1, math.inf, None, 1000, unit="factor")
    entry = replace(entry, ratio=rate(0, 0), reduction=infinite)
    text = "\n".join(print_lines(inheritance_table(entry, UNICODE, 100), 100))
    assert "undefined (0 of 0)" in text
    assert "infinite [≥ 3.10 ×]" in text
    assert inheritance_line(entry).endswith("reduction infinite")
    assert "nan" not in text
