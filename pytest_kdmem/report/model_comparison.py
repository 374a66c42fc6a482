"""The comparison of several models over one training set, as a table for a terminal and as a record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from pytest_kdmem.base.text import count, percent
from pytest_kdmem.base.typed_json import to_json
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.metrics.model_comparison import ModelDifference
from pytest_kdmem.report.glyphs import Glyphs

SCHEMA = {"kind": "kdmem-model-comparison", "schema_version": 1}
COLUMNS = ("recited", "rate", "bounds", "ambiguous", "lost", "gained", "overlap", "p", "p (Holm)")
LONGEST_NAME = 40


def comparison_table(models: Sequence[Memorization], differences: Sequence[ModelDifference], glyphs: Glyphs) -> Table:
    """Return a table with a row per model; lost and gained are examples, by comparison with the first model."""
    table = Table(box=glyphs.box, pad_edge=False)
    table.add_column("model", no_wrap=True)
    for column in COLUMNS:
        table.add_column(column, justify="right", no_wrap=True)
    for model, difference in zip(models, [None, *differences], strict=True):
        rate = model.rate
        bounds = (
            "exact" if rate.exhaustive and rate.low == rate.high else f"{percent(rate.low)} to {percent(rate.high)}"
        )
        cells = [count(model.count), percent(rate.value), bounds]
        cells += [count(model.ambiguous), *_difference_cells(difference)]
        table.add_row(glyphs.truncate(model.subject, LONGEST_NAME), *map(glyphs.clean, cells))
    return table


def _difference_cells(difference: ModelDifference | None) -> list[str]:
    if difference is None:
        return ["–"] * 5
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
