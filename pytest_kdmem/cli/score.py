"""`kdmem score`: a training set's table of scores."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from pytest_kdmem.cli import options
from pytest_kdmem.errors import SpecError


def score(
    model: options.ModelSource,
    training_set: options.DataSource,
    out: Annotated[
        Path | None, typer.Option(help="Where the table goes (.parquet), one row an example; not of a --shard.")
    ] = None,
    text_column: options.TextColumn = "text",
    form: options.Form = "documents",
    split: options.Split = "train",
    prefix_tokens: options.PrefixTokens = 50,
    suffix_tokens: options.SuffixTokens = 50,
    window_tokens: options.WindowTokens = 256,
    sample: options.Sample = None,
    seed: options.Seed = 0,
    engine: options.Engine = "auto",
    dtype: options.DType = "auto",
    device: options.Device = "auto",
    batch_size: options.BatchSize = None,
    tensor_parallel: options.TensorParallel = 1,
    executor: options.Executor = "local",
    workers: options.Workers = None,
    cpus_per_worker: options.CpusPerWorker = 1,
    shard: options.Shard = None,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Check ambiguous and other examples by all engines and by decoding.")
    ] = False,
    cache_dir: options.CacheDir = Path(".kdmem"),
    no_cache: options.NoCache = False,
    offline: options.Offline = False,
    trust_remote_code: options.TrustRemoteCode = False,
) -> None:
    """Score every example of a training set and write the table."""
    from rich.console import Console

    from pytest_kdmem.audit.summarize import confirmation_entry
    from pytest_kdmem.base.files import write_table
    from pytest_kdmem.metrics.memorization import Memorization
    from pytest_kdmem.report.confirmation import confirmation_line
    from pytest_kdmem.scoring.confirm import confirm as confirm_scores
    from pytest_kdmem.scoring.score import score as score_model
    from pytest_kdmem.scoring.table import LENGTHS, lengths_of
    from pytest_kdmem.specs.declared import Extraction, Model

    run = options.run_settings(
        engine=engine,
        dtype=dtype,
        device=device,
        batch_size=batch_size,
        tensor_parallel=tensor_parallel,
        executor=executor,
        workers=workers,
        cpus_per_worker=cpus_per_worker,
        shard=shard,
        offline=offline,
    )
    if run.part is not None and (out is not None or confirm or no_cache):
        raise SpecError("--shard scores a part into the cache: --out, --confirm and --no-cache go with a whole run.")
    if run.part is None and (out is None or out.suffix != ".parquet"):
        raise SpecError(f"--out must end in .parquet; found {out or 'none'}.")
    options.check_outputs({"--out": out}, {"the training set": training_set})
    if out is not None:
        with suppress(OSError):  # told when it is written
            out.unlink()  # what stands there tells of another run
    with options.score_store(cache_dir, no_cache=no_cache) as store:
        scores = score_model(
            Model(model, trust_remote_code=trust_remote_code),
            options.training_set(
                training_set, text_column=text_column, form=form, split=split, sample=sample, seed=seed
            ),
            Extraction(prefix_tokens, suffix_tokens, window_tokens),
            store,
            settings=run,
            progress=options.progress(),
        )
        confirmation = confirm_scores(scores, run, store, progress=options.progress()) if confirm else None
    found = Memorization(scores.model.name, scores)
    console = Console(highlight=False, markup=False, soft_wrap=True)
    if confirmation is not None:
        confirmation.check(found.subject)
        console.print(confirmation_line(found.subject, confirmation_entry(confirmation)))
    assert out is not None  # only a part has none, and ends in PartScored
    write_table(scores.rows.replace_schema_metadata({LENGTHS: lengths_of(scores.extraction)}), out)
    left_out = f", {scores.record.left_out} shorter documents left out" if scores.record.left_out else ""
    console.print(f"{found.rate.metric} of {found.subject}: {found.rate}; {found.too_short} too short{left_out}")
    console.print(f"{len(scores.rows)} rows in {out}")
