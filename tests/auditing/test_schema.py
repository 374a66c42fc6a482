"""An entry that no audit makes is refused when it is made."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.auditing.results import full_result
from tests.report.audits import risk_entry


def test_cells_of_less_than_no_example_are_refused() -> None:
    entry = full_result().inheritance
    assert entry is not None
    with pytest.raises(ValueError, match="cells that hold examples"):
        replace(entry, cells={"all": -1})


@pytest.mark.parametrize(("edges", "counts"), [((0.0,), ()), ((), (1,)), ((0.0, 1.0), (1, 2))])
def test_counts_of_risk_that_do_not_fit_their_edges_are_refused(
    edges: tuple[float, ...], counts: tuple[int, ...]
) -> None:
    replace(risk_entry(), edges=(0.0, 0.5, 1.0), counts=(1, 2))
    with pytest.raises(ValueError, match="one edge more"):
        replace(risk_entry(), edges=edges, counts=counts)
