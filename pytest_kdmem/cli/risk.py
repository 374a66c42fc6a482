"""`kdmem risk`: what a student to come will memorize, from teacher, baseline and text alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pytest_kdmem.cli import options
from pytest_kdmem.errors import SpecError


def risk(
    training_set: options.DataSource,
    teacher: options.Teacher,
    baseline: options.Baseline,
    labels_from: options.LabelsFrom = None,
    predictor: options.PredictorFile = None,
    threshold: options.RiskThreshold = None,
    features: options.Features = "study",
    save: Annotated[Path | None, typer.Option(help="Where the fitted predictor goes (.json).")] = None,
    out: Annotated[Path | None, typer.Option(help="Where the table of risks goes (.parquet).")] = None,
    text_column: options.TextColumn = "text",
    form: options.Form = "documents",
    split: options.Split = "train",
    prefix_tokens: options.PrefixTokens = 50,
    suffix_tokens: options.SuffixTokens = 50,
    window_tokens: options.WindowTokens = 256,
    sample: options.Sample = None,
    seed: options.Seed = 0,
    dtype: options.DType = "auto",
    device: options.Device = "auto",
    batch_size: options.BatchSize = None,
    executor: options.Executor = "local",
    workers: options.Workers = None,
    cpus_per_worker: options.CpusPerWorker = 1,
    shard: options.Shard = None,
    cache_dir: options.CacheDir = Path(".kdmem"),
    no_cache: options.NoCache = False,
    offline: options.Offline = False,
    trust_remote_code: options.TrustRemoteCode = False,
) -> None:
    """Predict which examples a student will memorize, before distilling; or fit, assess and save a predictor.

    Figures are those of the study's protocol, beside the published ones; nothing is trained but a logistic regression.
    """
    from rich.console import Console

    from pytest_kdmem.audit.summarize import risk_entry
    from pytest_kdmem.base.files import write_table
    from pytest_kdmem.report.risk import predictor_report, risk_lines
    from pytest_kdmem.risk.pipeline import RiskPipeline, label_source_from, prediction
    from pytest_kdmem.risk.predictor import write_predictor
    from pytest_kdmem.specs.declared import Extraction, Model
    from pytest_kdmem.study.published import COEFFICIENTS, PREDICTION, PYTHIA_FINEWEB

    run = options.run_settings(
        engine="transformers",
        dtype=dtype,
        device=device,
        batch_size=batch_size,
        tensor_parallel=1,
        executor=executor,
        workers=workers,
        cpus_per_worker=cpus_per_worker,
        shard=shard,
        offline=offline,
    )
    learning, names = label_source_from(labels_from, predictor), options.feature_names(features)
    if predictor is not None and save is not None:
        raise SpecError(f"A predictor to be fitted was expected with --save; {predictor} is fitted: drop one of them.")
    for path, ending, name in ((save, ".json", "--save"), (out, ".parquet", "--out")):
        if path is not None and path.suffix != ending:
            raise SpecError(f"{name} must end in {ending}; found {path}.")
    inputs = {"the training set": training_set, "the labels": labels_from, "the predictor": predictor}
    options.check_outputs({"--save": save, "--out": out}, inputs)
    learning.check(Extraction(prefix_tokens, suffix_tokens, window_tokens), threshold)
    console = Console(highlight=False, markup=False, soft_wrap=True)
    with options.score_store(cache_dir, no_cache=no_cache) as store:
        predicting = RiskPipeline(
            Model(teacher, trust_remote_code=trust_remote_code),
            Model(baseline, trust_remote_code=trust_remote_code),
            options.training_set(
                training_set, text_column=text_column, form=form, split=split, sample=sample, seed=seed
            ),
            Extraction(prefix_tokens, suffix_tokens, window_tokens),
            store,
            run,
            progress=options.progress(),
        )
        found = prediction(
            predicting,
            predicting.pair(),
            learning,
            names=names,
            threshold=threshold,
            assessed=True,
        )
    if found.fitted is not None:
        published = PREDICTION[PYTHIA_FINEWEB] | (COEFFICIENTS[PYTHIA_FINEWEB] if features == "study" else {})
        console.print(predictor_report(found.fitted, published, published_name="study, Pythia and FineWeb"))
    entry = risk_entry(found.risk)
    assert entry is not None
    for line in (*risk_lines(entry), *(f"! {warning}" for warning in found.risk.warnings)):
        console.print(line)
    if save is not None:
        write_predictor(found.risk.predictor, save)
        console.print(f"predictor in {save}")
    if out is not None:
        write_table(found.risk.table(), out)
        console.print(f"{len(found.risk.features)} rows in {out}")
