"""`kdmem risk`: predicts what a student will memorize, before it is distilled."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pytest_kdmem.cli.options import RunOptions, SampledExampleOptions, StoreOptions, check_outputs
from pytest_kdmem.cli.output import say, say_warning, shown_progress
from pytest_kdmem.cli.prediction import PairOptions, PredictorOptions
from pytest_kdmem.errors import SpecError

if TYPE_CHECKING:
    from pytest_kdmem.base.progress import Progress
    from pytest_kdmem.risk.pipeline import PipelineResult


@dataclass(frozen=True, kw_only=True)
class RiskOutput:
    """Whether risks are predicted, and where results go; or whether only a part is scored into the cache."""

    save: Annotated[Path | None, typer.Option(help="File to save the fitted predictor to (.json).")] = None
    out: Annotated[
        Path | None, typer.Option(help="Table of risks to write (.parquet), with a row per distinct example.")
    ] = None
    shard: str | None
    dry_run: bool

    def check(self, pair: PairOptions, predictor: PredictorOptions) -> None:
        """Refuse outputs of the wrong kind or that would overwrite an input.

        Raises:
            SpecError: A path has the wrong ending, or the options contradict each other.
        """
        if predictor.predictor is not None and self.save is not None:
            raise SpecError(
                f"A predictor to be fitted was expected with --save; {predictor.predictor} is fitted: drop one of them."
            )
        for path, ending, flag in ((self.save, ".json", "--save"), (self.out, ".parquet", "--out")):
            if path is not None and path.suffix != ending:
                raise SpecError(f"{flag} must end in {ending}; found {path}.")
        inputs = {
            "the training set": pair.training_set,
            "the labels": predictor.labels_from,
            "the predictor": predictor.predictor,
        }
        check_outputs({"--save": self.save, "--out": self.out}, inputs)


def risk(
    pair: PairOptions,
    predictor: PredictorOptions,
    output: RiskOutput,
    examples: SampledExampleOptions,
    run: RunOptions,
    store: StoreOptions,
) -> None:
    """Predict which examples a student will memorize before it is distilled, and assess or save the predictor.

    No language model is trained, only a logistic regression. Its quality is measured as in the published study, and the
    study's results are printed beside it.
    """
    with shown_progress(pair.opening()) as progress:
        predicted = _predict(pair, predictor, output, examples, run, store, progress)
    write_results(predicted, predictor.features, output)


def _predict(
    pair: PairOptions,
    predictor: PredictorOptions,
    output: RiskOutput,
    examples: SampledExampleOptions,
    run: RunOptions,
    store: StoreOptions,
    progress: Progress,
) -> PipelineResult:
    from pytest_kdmem.risk.cutoff import Cutoff

    settings = run.settings(output.shard, dry_run=output.dry_run)
    feature_names = predictor.feature_names()
    output.check(pair, predictor)
    cutoff = Cutoff(predictor.risk_threshold)
    label_source, examples = pair.check(predictor, examples, run)
    with store.opened() as opened:
        pipeline = pair.pipeline(examples, run, opened, settings, progress)
        if output.dry_run:
            pipeline.end_dry_run(label_source)
        return pipeline.predict(
            pipeline.score_pair(), label_source, feature_names=feature_names, cutoff=cutoff, assess=True
        )


def write_results(predicted: PipelineResult, features: str, output: RiskOutput) -> None:
    """Print the risks and the quality of the predictor, and write what was asked for."""
    from pytest_kdmem.auditing.summarize import risk_entry
    from pytest_kdmem.base.console import shared_console
    from pytest_kdmem.base.files import write_table
    from pytest_kdmem.report.risk import predictor_report, risk_lines
    from pytest_kdmem.risk.predictor_file import write_predictor
    from pytest_kdmem.study.published import COEFFICIENTS, PREDICTION, PYTHIA_FINEWEB

    if predicted.fitted is not None:
        published = PREDICTION[PYTHIA_FINEWEB] | (COEFFICIENTS[PYTHIA_FINEWEB] if features == "study" else {})
        shared_console().print(
            predictor_report(predicted.fitted, published, published_name="study, Pythia and FineWeb"), soft_wrap=True
        )
    entry = risk_entry(predicted.risk)
    assert entry is not None
    for line in risk_lines(entry):
        say(line)
    for warning in predicted.risk.warnings:
        say_warning(warning)
    if short := predicted.risk.features.too_short:
        say(f"not looked at: {short}")
    if output.save is not None:
        write_predictor(predicted.risk.predictor, output.save)
        say(f"wrote the predictor to {output.save}")
    if output.out is not None:
        write_table(predicted.risk.table(), output.out)
        say(f"{len(predicted.risk.features)} rows in {output.out}")
