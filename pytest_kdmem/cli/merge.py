"""`kdmem merge`: the score stores of array jobs, gathered."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pytest_kdmem.cli import options

INCOMPLETE = 1


def merge(
    stores: Annotated[list[Path], typer.Argument(metavar="STORE...", help="Folders that --cache-dir named in parts.")],
    cache_dir: options.CacheDir = Path(".kdmem"),
) -> None:
    """Gather scores of the parts of a run (`--shard 3/16`) that were kept in folders of their own.

    Exits with 0 if the runs they belong to are complete now, 1 if parts are missing or damaged or it cannot be told.
    """
    from pytest_kdmem.base.text import count
    from pytest_kdmem.scoring.merge_stores import merge as merge_stores
    from pytest_kdmem.scoring.store import ScoreStore

    found = merge_stores(stores, ScoreStore(cache_dir))
    typer.echo(f"{count(found.taken)} shards taken into {cache_dir}, which had {count(found.known)}")
    for one in found.coverage:
        if one.examples is None or one.shards is None:
            typer.echo(
                f"weights {one.weights}: {count(one.scored)} shards, and it cannot be told whether that is all: no"
                " training set is remembered for it"
            )
            continue
        state = "complete" if one.whole else "MISSING some"
        typer.echo(
            f"weights {one.weights}, training set of {count(one.examples)} examples:"
            f" {count(one.scored)} of {count(one.shards)} shards, {state}"
        )
    for path in found.damaged:
        typer.echo(f"damaged and left out: {path}; score that part again")
    if not found.whole:
        raise typer.Exit(INCOMPLETE)
