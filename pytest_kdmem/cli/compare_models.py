"""`kdmem compare-models`: compares what several models recite of one training set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pytest_kdmem.base.text import last_part
from pytest_kdmem.cli.first_checks import check_inputs, check_models_first
from pytest_kdmem.cli.options import EngineOptions, SampledExampleOptions, StoreOptions, check_outputs
from pytest_kdmem.cli.output import print_tables, say, shown_progress, with_command_flags
from pytest_kdmem.cli.trained_window import with_trained_window
from pytest_kdmem.errors import DryRun, SpecError

if TYPE_CHECKING:
    from pytest_kdmem.base.progress import Progress
    from pytest_kdmem.metrics.memorization import Memorization
    from pytest_kdmem.metrics.model_comparison import ModelDifference
    from pytest_kdmem.specs.declared import Model, TrainingSet
    from pytest_kdmem.specs.runtime import RunSettings

TOO_MANY = 1
MOST_SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class ComparisonOutput:
    """What a comparison writes, and when it fails."""

    json: Annotated[Path | None, typer.Option(help="File to write the comparison to as well (.json).")] = None
    show_ids: Annotated[
        bool, typer.Option("--show-ids", help="Name the examples that models recite, by their position in the set.")
    ] = False
    max_gained: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Exit with 1 if a model may recite more examples than this that the first does not; ambiguous verdicts"
            " count.",
        ),
    ] = None


def compare_models(
    models: Annotated[
        list[str], typer.Argument(help="Folders or hub ids of two models or more; each is compared with the first.")
    ],
    training_set: str,
    output: ComparisonOutput,
    examples: SampledExampleOptions,
    run: EngineOptions,
    store: StoreOptions,
    dry_run: bool,
    base: Annotated[
        str | None,
        typer.Option(
            help="Folder or hub id of the base of all models that are adapters, if it is not the one that they name."
        ),
    ] = None,
) -> None:
    """Compare what several models recite of one training set, example by example; each is compared with the first.

    For each model the table shows how much it recites, how many examples of the first model it lost and how many it
    gained, the overlap of both sets, and whether the difference is more than chance (exact McNemar test). Scores of
    models that were scored before are read from the cache.

    Exits with 0, or with 1 if --max-gained is exceeded.
    """
    if len(models) < 2:
        raise SpecError(f"Two models or more were expected to be compared; found {len(models)}.")
    check_outputs({"--json": output.json}, {"the training set": training_set})
    if output.json is not None and not dry_run:
        with suppress(OSError):  # an error that matters comes again when the file is written
            output.json.unlink()  # a comparison of an earlier run must not be taken for this one
    with shown_progress(f"opening {len(models)} models") as progress:
        check_models_first(models, training_set)
        first_looks = [run.model(source) for source in models]
        declared_set = examples.training_set(training_set)
        check_inputs(first_looks, [declared_set], offline=run.offline)
        declared = _with_base(first_looks, base, offline=run.offline)
        examples = with_trained_window(examples, declared, offline=run.offline)
        from pytest_kdmem.base.files import write_json
        from pytest_kdmem.metrics.model_comparison import compare_models as compare
        from pytest_kdmem.report.model_comparison import comparison_record, comparison_tables

        settings = run.settings(dry_run=dry_run)
        compared = _score_all(declared, declared_set, examples, settings, store, progress)
    differences = compare(compared)
    print_tables(lambda glyphs, width: comparison_tables(compared, differences, glyphs, width))
    for line in _lines(compared, differences, show_ids=output.show_ids):
        say(line)
    if output.json is not None:
        write_json(comparison_record(compared, differences, show_ids=output.show_ids), output.json)
    if output.max_gained is not None:
        _check_gained(compared, differences, output.max_gained)


def _with_base(models: list[Model], base: str | None, *, offline: bool) -> list[Model]:
    """The models, of which the adapters have the base that is given for them."""
    if base is None:
        return models
    from pytest_kdmem.specs.adapter import is_adapter

    with_base = [replace(model, base=base) if is_adapter(model, offline=offline) else model for model in models]
    if with_base == models:
        raise SpecError("An adapter was expected among the models, as --base names its base; found none: drop --base.")
    return with_base


def _score_all(
    models: list[Model],
    training_set: TrainingSet,
    examples: SampledExampleOptions,
    settings: RunSettings,
    store: StoreOptions,
    progress: Progress,
) -> list[Memorization]:
    """What each model recites of a training set; nothing is scored unless all are of one tokenizer.

    Raises:
        DryRun: Only a forecast was asked for; it holds one of each model.
    """
    from pytest_kdmem.metrics.memorization import Memorization
    from pytest_kdmem.scoring.score import score
    from pytest_kdmem.specs.checkpoint import open_checkpoint
    from pytest_kdmem.specs.tokenizer_content import check_same_tokenizer

    names = _names([model.source for model in models])
    checkpoints = [open_checkpoint(model, offline=settings.offline) for model in models]
    for name, checkpoint in zip(names[1:], checkpoints[1:], strict=True):
        check_same_tokenizer({names[0]: checkpoints[0], name: checkpoint})
    compared: list[Memorization] = []
    forecasts: list[Any] = []
    with store.opened() as opened:
        for name, model, checkpoint in zip(names, models, checkpoints, strict=True):
            try:
                scores = score(
                    model,
                    training_set,
                    examples.extraction,
                    opened,
                    checkpoint=checkpoint,
                    settings=settings,
                    metrics="verdict",  # what is compared rests on verdicts alone
                    progress=progress,
                )
            except DryRun as dry_run:
                forecasts += dry_run.forecasts
            else:
                compared.append(Memorization(name, scores))
    if settings.dry_run:
        raise DryRun(forecasts)
    return compared


def _names(sources: list[str]) -> list[str]:
    """A name for each model: the last part of its source, or all of it where several have that."""
    last_parts = [last_part(source) for source in sources]
    copies = Counter(last_parts)
    return [source if copies[name] > 1 else name for name, source in zip(last_parts, sources, strict=True)]


def _lines(models: Sequence[Memorization], differences: Sequence[ModelDifference], *, show_ids: bool) -> Iterator[str]:
    """What is printed below the table."""
    from pytest_kdmem.auditing.scored_share import short_copies_warning
    from pytest_kdmem.base.text import count
    from pytest_kdmem.scoring.too_short import count_too_short

    first = models[0]
    examined = "all" if first.scores.record.exhaustive else "a sample of"
    yield (
        f"{examined} {count(first.rate.n)} distinct examples of {first.scores.training_set.name},"
        f" {count_too_short(first.scores).brief}; lost and gained by comparison with {first.subject}"
    )
    if warning := short_copies_warning(first.scores):
        yield with_command_flags(f"warning: {warning}")
    for model, difference in zip(models, [None, *differences], strict=True):
        for note in model.scores.notes:
            yield with_command_flags(f"warning: {model.subject}: {note}")
        if show_ids and difference is not None:
            yield f"{model.subject} lost {_ids(difference.lost)}; gained {_ids(difference.gained)}"


def _ids(ids: Sequence[int]) -> str:
    shown = ", ".join(map(str, ids[:MOST_SHOWN]))
    return f"{shown} and {len(ids) - MOST_SHOWN} more" if len(ids) > MOST_SHOWN else shown or "none"


def _check_gained(models: Sequence[Memorization], differences: Sequence[ModelDifference], most: int) -> None:
    """Exit with 1 if a model may recite more than ``most`` examples that the first does not."""
    exceeding = [
        f"{model.subject} ({difference.most_gained})"
        for model, difference in zip(models[1:], differences, strict=True)
        if difference.most_gained > most
    ]
    if exceeding:
        say(f"more than {most} examples may be recited that {models[0].subject} does not: {', '.join(exceeding)}")
        raise typer.Exit(TOO_MANY)
