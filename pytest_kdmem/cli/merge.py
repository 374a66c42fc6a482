"""`kdmem merge`: gathers the scores of array jobs in one store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pytest_kdmem.cli.output import say

INCOMPLETE = 1


def merge(
    stores: Annotated[
        list[Path],
        typer.Argument(
            metavar="STORE...", help="Folders that the parts wrote their scores to (the --cache-dir of each)."
        ),
    ],
    cache_dir: Path,
) -> None:
    """Collect the scores of a run's parts (`--shard 3/16`) that were stored in separate folders.

    Exits with 0 if the runs that the parts belong to are complete now, with 1 if parts are missing or damaged, or if
    that cannot be determined.
    """
    from pytest_kdmem.base.text import count
    from pytest_kdmem.scoring.merge_stores import merge as merge_stores
    from pytest_kdmem.scoring.store import ScoreStore

    merged = merge_stores(stores, ScoreStore(cache_dir))
    say(f"{count(merged.copied)} shards taken into {cache_dir}, which had {count(merged.present)}")
    for run in merged.coverage:
        if run.examples is None or run.shards is None:
            say(
                f"weights {run.weights}: {count(run.scored)} shards; whether that is all is unknown, because the store"
                " has no record of the training set"
            )
            continue
        state = "complete" if run.complete else "MISSING some"
        say(
            f"weights {run.weights}, training set of {count(run.examples)} examples:"
            f" {count(run.scored)} of {count(run.shards)} shards, {state}"
        )
    for path in merged.damaged:
        say(f"damaged and left out: {path}; score that part again")
    if not merged.complete:
        raise typer.Exit(INCOMPLETE)
