"""`kdmem prefilter`: a training set without what a student to come would memorize."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pytest_kdmem.cli import options


def prefilter(
    training_set: options.DataSource,
    teacher: options.Teacher,
    baseline: options.Baseline,
    out: Annotated[Path, typer.Option(help="Folder to be made: the cleaned data, a manifest, and the predictor.")],
    labels_from: options.LabelsFrom = None,
    predictor: options.PredictorFile = None,
    threshold: options.RiskThreshold = None,
    recall: Annotated[
        str | None, typer.Option(help="Leave out so much that this share of what is memorized is found (95%).")
    ] = None,
    at_most: Annotated[str | None, typer.Option(help="Leave out at most this share of the rows (0.5%).")] = None,
    features: options.Features = "study",
    text_column: options.TextColumn = "text",
    form: options.Form = "documents",
    split: options.Split = "train",
    prefix_tokens: options.PrefixTokens = 50,
    suffix_tokens: options.SuffixTokens = 50,
    window_tokens: options.WindowTokens = 256,
    dtype: options.DType = "auto",
    device: options.Device = "auto",
    batch_size: options.BatchSize = None,
    executor: options.Executor = "local",
    workers: options.Workers = None,
    cpus_per_worker: options.CpusPerWorker = 1,
    cache_dir: options.CacheDir = Path(".kdmem"),
    no_cache: options.NoCache = False,
    offline: options.Offline = False,
    trust_remote_code: options.TrustRemoteCode = False,
) -> None:
    """Write a training set without what is at risk, in its own format, and a manifest of what was left out and why.

    An example at risk goes with all its copies and near-duplicates; all else stays as it is, in its order.
    """
    from pytest_kdmem.base.text import count, percent
    from pytest_kdmem.risk.pipeline import RiskPipeline, label_source_from
    from pytest_kdmem.risk.prefilter import Budget
    from pytest_kdmem.risk.prefilter import prefilter as clean
    from pytest_kdmem.specs.declared import Extraction, Model

    run = options.run_settings(
        engine="transformers",
        dtype=dtype,
        device=device,
        batch_size=batch_size,
        tensor_parallel=1,
        executor=executor,
        workers=workers,
        cpus_per_worker=cpus_per_worker,
        shard=None,
        offline=offline,
    )
    budget = Budget(threshold, options.share("--recall", recall), options.share("--at-most", at_most))
    learning, names = label_source_from(labels_from, predictor), options.feature_names(features)
    with options.score_store(cache_dir, no_cache=no_cache) as store:
        found = clean(
            RiskPipeline(
                Model(teacher, trust_remote_code=trust_remote_code),
                Model(baseline, trust_remote_code=trust_remote_code),
                options.training_set(training_set, text_column=text_column, form=form, split=split),
                Extraction(prefix_tokens, suffix_tokens, window_tokens),
                store,
                run,
                progress=options.progress(),
            ),
            learning,
            out,
            names=names,
            budget=budget,
        )
    for warning in found.risk.warnings:
        typer.echo(f"! {warning}")
    dropped = found.dropping
    why = ", ".join(f"{count(rows)} {reason}" for reason, rows in dropped.counts().items())
    typer.echo(
        f"left out {count(len(dropped.rows))} of {count(found.rows)} rows ({percent(len(dropped.rows) / found.rows)}):"
        f" {why}; a risk of {dropped.threshold:.2g} or more, which finds {percent(dropped.recall)}"
    )
    risks = found.risk.risks
    if staying := int(((risks >= found.risk.threshold) & (risks < dropped.threshold)).sum()):
        limit = f" of at most {percent(budget.at_most)} of the rows" if budget.at_most is not None else ""
        typer.echo(
            f"! {count(staying)} examples at risk stay ({found.risk.threshold:.2g} or more) for the limit{limit}: raise"
            " --at-most, or set --recall instead"
        )
    typer.echo(
        f"{count(found.rows - len(dropped.rows))} rows in {found.data}; what was left out and why in {found.folder}"
    )
