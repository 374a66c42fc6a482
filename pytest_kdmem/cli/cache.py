"""`kdmem cache`: shows how much the cache holds, and clears it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pytest_kdmem.cli.output import say


def info(cache_dir: Path) -> None:
    """Print how much is stored, and where text is."""
    from pytest_kdmem.distill.cache_folders import cached_models, cached_texts, models_folder, text_folder
    from pytest_kdmem.scoring.store import ScoreStore

    stored = ScoreStore(cache_dir).info()
    say(
        f"{stored.root}: {stored.shards} score shards, {stored.corpora} training sets, {stored.confirmations}"
        f" confirmations, {stored.size_bytes / 1e6:.1f} MB"
    )
    models, texts = cached_models(cache_dir), cached_texts(cache_dir)
    say(f"{models_folder(cache_dir)}: {models.count} trained models, {models.size_bytes / 1e6:.1f} MB")
    say(
        f"{text_folder(cache_dir)}: {texts.count} folders with text, from teachers or unfinished trainings of audits,"
        f" {texts.size_bytes / 1e6:.1f} MB"
    )
    say("not counted: text of an unfinished `kdmem distill`, which lies beside its --out as .NAME.training")


def prune(
    cache_dir: Path,
    older_than_days: Annotated[
        float, typer.Option(help="Delete only what was written at least this many days ago; 0 deletes everything.")
    ] = 0.0,
) -> None:
    """Delete what is stored: scores, trained models, texts that teachers wrote, and unfinished trainings of audits."""
    from pytest_kdmem.distill.cache_folders import prune_models, prune_texts, text_folder
    from pytest_kdmem.scoring.store import ScoreStore

    files = ScoreStore(cache_dir).prune(older_than_days=older_than_days)
    models = prune_models(cache_dir, older_than_days=older_than_days)
    texts = prune_texts(cache_dir, older_than_days=older_than_days)
    say(f"{files} files of scores and {models} trained models removed from {cache_dir}")
    say(f"{texts} folders that held text removed from {text_folder(cache_dir)}")
