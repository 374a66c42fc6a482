"""Pages show held-out losses in the unit of their gates, and say what they are beside the perplexities."""

from __future__ import annotations

import math
from dataclasses import replace

from pytest_kdmem.auditing.schema import HeldOutEntry
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.report import html, markdown
from pytest_kdmem.report.held_out import held_out_text
from tests.report.audits import full_audit, gate, render_audits

LOSSES = {
    role: Estimate("loss", role, value, value - 0.1, value + 0.1, None, 100, unit="nats", set_name="control set")
    for role, value in (("student", 2.125), ("teacher", 2.0))
}
LEGEND = (
    "Held-out loss is in nats a token, a mean over 100 examples of the control set; lower is better."
    f" Perplexity is its exponential: teacher {math.exp(2):.2f}, student {math.exp(2.125):.2f}."
)
AUDIT = replace(
    full_audit(gates=(gate("test_as_useful", LOSSES["student"], "<=", 2.5),)),
    held_out={role: HeldOutEntry(loss, loss, math.exp(loss.value)) for role, loss in LOSSES.items()},
)


def test_the_legend_has_the_number_of_examples_and_each_perplexity() -> None:
    assert held_out_text(AUDIT) == LEGEND
    assert held_out_text(replace(AUDIT, held_out={})) == ""


def test_a_page_has_the_loss_of_a_gate_in_its_table_and_perplexity_only_where_it_is_explained() -> None:
    for module in (html, markdown):
        page = render_audits(module.render, AUDIT).replace("\u00a0", " ").replace("\\", "")
        assert LEGEND in page
        assert page.count("2.1250") == 2  # in the gate and in the table
        assert page.replace(LEGEND, "").lower().count("perplexity") == 0 if module is markdown else True
        assert page.lower().count("held-out loss") == 2
