"""`kdmem confirm`: checks scores with every installed engine, and with real greedy decoding."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pytest_kdmem.base.text import last_part
from pytest_kdmem.cli.first_checks import check_inputs, check_order
from pytest_kdmem.cli.options import Base, EngineOptions, SampledExampleOptions, StoreOptions
from pytest_kdmem.cli.output import say, say_warning, shown_progress
from pytest_kdmem.cli.parameters import Spelling
from pytest_kdmem.cli.trained_window import with_trained_window

if TYPE_CHECKING:
    from pytest_kdmem.scoring.confirmation import Confirmation, Disagreement, EngineCheck
    from pytest_kdmem.scoring.table import ScoreTable

MOST_SHOWN = 20
NOT_CONFIRMED = 1


def confirm(
    model: Annotated[str, typer.Argument(help="Folder or hub id of the model to score and check.")],
    training_set: Annotated[str, Spelling(positional=True)],
    examples: SampledExampleOptions,
    run: EngineOptions,
    store: StoreOptions,
    base: Base = None,
    json: Annotated[Path | None, typer.Option(help="File to write the results to as well (.json).")] = None,
) -> None:
    """Score a training set and let every installed engine check the scores, by its own pass and by greedy decoding.

    Every ambiguous example is checked, and a random sample of the others. The checks always run in this process,
    whatever the executor.

    Exits with 0 if all engines agree outside the ambiguous band, with 1 if one disagrees, with 2 if the check could not
    be made.
    """
    settings = run.settings()
    if json is not None:
        with suppress(OSError):  # an error that matters comes again when the file is written
            json.unlink()  # results of an earlier run must not be taken for those of this one
    declared, declared_set = run.model(model, base), examples.training_set(training_set)
    with shown_progress(f"opening {last_part(model)}") as progress, store.opened() as opened:
        check_order("kdmem confirm", model, training_set)
        check_inputs([declared], [declared_set], offline=run.offline)
        examples = with_trained_window(examples, [declared], offline=run.offline)
        from pytest_kdmem.scoring.confirm import confirm as confirm_scores
        from pytest_kdmem.scoring.score import score

        scores = score(
            declared,
            declared_set,
            examples.extraction,
            opened,
            settings=settings,
            metrics="verdict",  # the columns that gates rest on
            progress=progress,
        )
        confirmation = confirm_scores(scores, settings, opened, progress=progress)
    for line in summary_lines(scores.model.name, confirmation):
        say(line)
    for note in scores.notes:
        say_warning(note)
    if json is not None:
        from pytest_kdmem.base.files import write_json

        write_json(to_record(scores, confirmation), json)
    if confirmation.outside_band:
        raise typer.Exit(NOT_CONFIRMED)
    confirmation.check(scores.model.name)


def summary_lines(subject: str, confirmation: Confirmation) -> list[str]:
    """Return what is printed: a table with a row per engine check, the tolerances, and the first disagreements."""
    from pytest_kdmem.base.text import count

    lines = [_counts_line(subject, confirmation), *_table_lines(confirmation), _tolerance_line(confirmation)]
    disagreements = [
        (engine_check, disagreement)
        for engine_check in confirmation.engine_checks
        for disagreement in engine_check.disagreements
    ]
    # Disagreements outside the band come first: they are what fails.
    disagreements.sort(key=lambda pair: pair[1].ambiguous)
    lines += [_disagreement_line(*pair) for pair in disagreements[:MOST_SHOWN]]
    if (hidden := len(disagreements) - MOST_SHOWN) > 0:
        lines.append(f"and {count(hidden)} more disagreements")
    return lines


def _counts_line(subject: str, confirmation: Confirmation) -> str:
    from pytest_kdmem.base.text import count, percent

    ambiguous, examples = confirmation.ambiguous, confirmation.examples
    share = percent(ambiguous / examples) if examples else "none"
    ambiguous_checked = confirmation.ambiguous_checked
    sampled = "" if ambiguous == ambiguous_checked else f" ({count(ambiguous_checked)} of them ambiguous)"
    return (
        f"{subject}: {count(ambiguous)} of {count(examples)} distinct examples ambiguous ({share}),"
        f" {count(confirmation.checked)} checked{sampled}"
    )


def _table_lines(confirmation: Confirmation) -> list[str]:
    from pytest_kdmem.base.text import count

    width = max((len(str(engine_check)) for engine_check in confirmation.engine_checks), default=0)
    lines = [f"{'check':<{width}}  checked    agree  disagree  outside the band"]
    for engine_check in confirmation.engine_checks:
        differing = len(engine_check.disagreements)
        lines.append(
            f"{engine_check!s:<{width}}  {count(engine_check.checked):>7}  {count(engine_check.checked - differing):>7}"
            f"  {count(differing):>8}  {count(len(engine_check.outside_band)):>16}"
        )
    return lines


def _tolerance_line(confirmation: Confirmation) -> str:
    from pytest_kdmem.report.confirmation import format_tolerance

    difference = confirmation.greatest_difference
    margins = f" (margins differ by at most {difference:.2g})" if difference is not None else ""
    verdict = "the claim holds" if confirmation.within_claimed_tolerance else "the claim is too narrow"
    return (
        f"tolerance in logits: claimed {format_tolerance(confirmation.claimed_tolerance)}, implied"
        f" {format_tolerance(confirmation.implied_tolerance)}{margins}: {verdict}"
    )


def _disagreement_line(engine_check: EngineCheck, disagreement: Disagreement) -> str:
    margin = f"margin {disagreement.margin:.2g}" if disagreement.margin is not None else "margin unknown"
    verdict = "memorized" if disagreement.observed else "not memorized"
    band = "inside" if disagreement.ambiguous else "outside"
    return f"example {disagreement.example_id}, {margin}: {verdict} to {engine_check}, {band} the band"


def to_record(scores: ScoreTable, confirmation: Confirmation) -> dict[str, object]:
    """Return the content of the JSON file: what was checked, by which engines, and every disagreement."""
    from dataclasses import asdict

    content = confirmation.to_json()
    return {
        "model": {"source": scores.model.source, "digest": scores.checkpoint.digest},
        "training_set": {"source": scores.training_set.source, "digest": scores.record.digest},
        "numerics": asdict(scores.numerics),
        "confirmed": not confirmation.outside_band and bool(confirmation.checked and confirmation.engine_checks),
        "implied_tolerance": confirmation.implied_tolerance,
        **content,
        "witnesses": tuple(content["witnesses"]),  # a tuple is written on one line
    }
