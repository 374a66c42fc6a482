"""`kdmem cache`: shows how much the score store holds, and clears it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pytest_kdmem.cli.output import say


def info(cache_dir: Path) -> None:
    """Print how much is stored."""
    from pytest_kdmem.scoring.store import ScoreStore

    stored = ScoreStore(cache_dir).info()
    say(
        f"{stored.root}: {stored.shards} score shards, {stored.corpora} training sets, {stored.confirmations}"
        f" confirmations, {stored.size_bytes / 1e6:.1f} MB"
    )


def prune(
    cache_dir: Path,
    older_than_days: Annotated[
        float, typer.Option(help="Remove only scores that were written at least this many days ago.")
    ] = 0.0,
) -> None:
    """Remove stored scores."""
    from pytest_kdmem.scoring.store import ScoreStore

    say(f"{ScoreStore(cache_dir).prune(older_than_days=older_than_days)} files removed from {cache_dir}")
