"""The comparison of several models over one training set, as a table for a terminal and as a record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from pytest_kdmem.base.text import count, percent
from pytest_kdmem.base.typed_json import to_json
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.metrics.model_comparison import ModelDifference
from pytest_kdmem.report.glyphs import Glyphs

SCHEMA = {"kind": "kdmem-model-comparison", "schema_version": 1}
OF_MODEL = ("recited", "rate", "bounds", "ambiguous")
OF_DIFFERENCE = ("lost", "gained", "overlap", "p", "p (Holm)")
SHORTEST_NAME, LONGEST_NAME = 8, 40


def comparison_tables(
    models: Sequence[Memorization], differences: Sequence[ModelDifference], glyphs: Glyphs, width: int
) -> list[Table]:
    """Return a table with a row per model; lost and gained are examples, by comparison with the first model.

    Where it is wider than the terminal there are two tables: what each model recites, and how it differs from the
    first. Names of models may be broken; numbers are not.

    Args:
        models: What each model recites.
        differences: How each model but the first differs from it.
        glyphs: Characters to draw with.
        width: Columns of the terminal.
    """
    names = [glyphs.truncate(model.subject, LONGEST_NAME) for model in models]
    of_models = [[glyphs.clean(cell) for cell in _model_cells(model)] for model in models]
    of_differences = [[glyphs.clean(cell) for cell in _difference_cells(difference)] for difference in differences]
    none = [glyphs.clean("–")] * len(OF_DIFFERENCE)
    whole = [[*cells, *others] for cells, others in zip(of_models, [none, *of_differences], strict=True)]
    whole_table = _table(glyphs, names, (*OF_MODEL, *OF_DIFFERENCE), whole)
    if _widest(whole_table) <= width:
        return [whole_table]
    return [
        _table(glyphs, names, OF_MODEL, of_models),
        _table(glyphs, names[1:], OF_DIFFERENCE, of_differences),
    ]


def _table(glyphs: Glyphs, names: Sequence[str], columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=glyphs.box, pad_edge=False)
    table.add_column("model", overflow="fold", min_width=SHORTEST_NAME)
    for number, column in enumerate(columns):
        widest = max(len(column), *(len(cells[number]) for cells in rows))
        table.add_column(column, justify="right", no_wrap=True, min_width=widest)
    for name, cells in zip(names, rows, strict=True):
        table.add_row(name, *cells)
    return table


def _widest(table: Table) -> int:
    """Columns of the terminal that a table takes if nothing in it is broken."""
    console = Console(width=1000)
    return Measurement.get(console, console.options, table).maximum


def _model_cells(model: Memorization) -> list[str]:
    rate = model.rate
    is_exact = rate.exhaustive and rate.low == rate.high
    bounds = "exact" if is_exact else f"{percent(rate.low)} to {percent(rate.high)}"
    return [count(model.count), percent(rate.value), bounds, count(model.ambiguous)]


def _difference_cells(difference: ModelDifference) -> list[str]:
    return [
        _with_most(len(difference.lost), difference.most_lost),
        _with_most(len(difference.gained), difference.most_gained),
        "–" if difference.overlap != difference.overlap else percent(difference.overlap),
        f"{difference.p_value:.2g}",
        f"{difference.adjusted_p_value:.2g}",
    ]


def _with_most(observed: int, most: int) -> str:
    return count(observed) if observed == most else f"{count(observed)} [≤ {count(most)}]"


def comparison_record(
    models: Sequence[Memorization], differences: Sequence[ModelDifference], *, show_ids: bool
) -> dict[str, Any]:
    """Return the content of the JSON file: the models, their rates, and how each differs from the first."""
    scores = models[0].scores
    entries = []
    for model, difference in zip(models, [None, *differences], strict=True):
        numerics = model.scores.numerics
        entry: dict[str, Any] = {
            "name": model.subject,
            "source": model.scores.model.source,
            "digest": model.scores.checkpoint.digest,
            "engine": numerics.engine,
            "dtype": numerics.dtype,
            "quantization": numerics.quantization,
            "rate": to_json(model.rate),
        }
        if difference is not None:
            entry["difference"] = {
                **to_json(difference),
                "lost": len(difference.lost),
                "gained": len(difference.gained),
            }
        if show_ids:
            entry["recited_ids"] = model.examples
            if difference is not None:
                entry["lost_ids"], entry["gained_ids"] = list(difference.lost), list(difference.gained)
        entries.append(entry)
    training_set = {"source": scores.training_set.source, "digest": scores.record.digest}
    examples = {"examples": models[0].rate.n, "too_short": models[0].too_short, "exhaustive": scores.record.exhaustive}
    return {**SCHEMA, "training_set": training_set, **examples, "models": entries}
