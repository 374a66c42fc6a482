"""Adds the text of single examples, and what models make of it, to the record of an audit that shows text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice, zip_longest

from pytest_kdmem.auditing.schema_examples import MAX_CONTINUED, ExamplesEntry, ModelColumns
from pytest_kdmem.base.progress import NO_PROGRESS, Progress, status_of
from pytest_kdmem.base.text import count
from pytest_kdmem.errors import EngineError
from pytest_kdmem.scoring.continuations import continuations
from pytest_kdmem.scoring.example_texts import ExampleText, read_texts
from pytest_kdmem.scoring.table import ScoreTable
from pytest_kdmem.specs.runtime import RunSettings


def texts_of(entry: ExamplesEntry, scores: ScoreTable, *, offline: bool = False) -> list[ExampleText]:
    """Read each example of the entry again from the training set that was scored.

    Raises:
        DataError: The training set can no longer be read.
        EngineError: An example is no longer what was scored.
    """
    by_id = {text.example.position: text for text in read_texts(scores, entry.example_id, offline=offline)}
    texts = [by_id.get(example_id) for example_id in entry.example_id]
    unchanged = [
        text
        for text, digest in zip(texts, entry.digest, strict=True)
        if text is not None and text.example.digest == digest
    ]
    if len(unchanged) < len(texts):
        raise EngineError(
            f"The examples of {scores.training_set.source} were expected as they were scored, and"
            f" {len(texts) - len(unchanged)} of {len(texts)} to show are missing or changed; score it again as it is."
        )
    return unchanged


def with_text(entry: ExamplesEntry, texts: Sequence[ExampleText]) -> ExamplesEntry:
    """Add the text of each example.

    Args:
        entry: The examples.
        texts: Their texts, in the order of the rows.
    """
    prefix, suffix = (tuple(text.prefix for text in texts), tuple(text.suffix for text in texts))
    return replace(entry, prefix=prefix, suffix=suffix)


def with_continuations(
    entry: ExamplesEntry,
    texts: Sequence[ExampleText],
    scores: Mapping[str, ScoreTable],
    settings: RunSettings,
    progress: Progress = NO_PROGRESS,
) -> ExamplesEntry:
    """Add how every model continues the prefixes of some examples by greedy decoding.

    Args:
        entry: The examples with their text.
        texts: Their texts, in the order of the rows.
        scores: Table of each model of the entry, by role, over the same examples.
        settings: How models are run.
        progress: Told which model is run.

    Raises:
        EngineError: A model cannot be loaded again, or its files are no longer those that were scored.
    """
    rows = rows_to_continue(entry)
    generated: dict[str, tuple[str | None, ...]] = {}
    for role, table in scores.items():
        same = next((other for other in generated if scores[other].checkpoint.digest == table.checkpoint.digest), None)
        if same is not None:  # one model in two roles
            generated[role] = generated[same]
            continue
        with status_of(progress, f"{table.model.name} continues the prefixes of {count(len(rows))} examples"):
            continued = continuations(table, [texts[row].example for row in rows], settings)
        column: list[str | None] = [None] * len(texts)
        for row, ids in zip(rows, continued, strict=True):
            column[row] = texts[row].decode(ids)
        generated[role] = tuple(column)
    models = {role: replace(columns, generated=generated[role]) for role, columns in entry.models.items()}
    return replace(entry, models=models)


def rows_to_continue(entry: ExamplesEntry, most: int = MAX_CONTINUED) -> list[int]:
    """Rows of examples that are continued, ascending: of each kind alike, as long as there are some.

    The kinds are what some models recite and others do not, what is ambiguous, what none recites, of which the nearest
    to being recited come first, and what all recite.
    """
    models = list(entry.models.values())
    kinds: dict[str, list[int]] = {"some": [], "ambiguous": [], "none": [], "all": []}
    for row in range(len(entry.example_id)):
        kinds[_kind(models, row)].append(row)
    kinds["none"].sort(key=lambda row: -_greatest_margin(models, row))
    in_turn = chain.from_iterable(zip_longest(*kinds.values()))
    return sorted(islice((row for row in in_turn if row is not None), most))


def _greatest_margin(models: Sequence[ModelColumns], row: int) -> float:
    margins = [columns.margin[row] for columns in models]
    return max((margin for margin in margins if margin is not None), default=-math.inf)


def _kind(models: Sequence[ModelColumns], row: int) -> str:
    if any(columns.ambiguous[row] for columns in models):
        return "ambiguous"
    recited_by = sum(columns.memorized[row] for columns in models)
    if recited_by == len(models):
        return "all"
    return "some" if recited_by else "none"
