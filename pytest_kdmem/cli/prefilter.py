"""`kdmem prefilter`: writes a training set without the examples that a student would memorize."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pytest_kdmem.cli.options import ExampleOptions, RunOptions, StoreOptions
from pytest_kdmem.cli.output import say, shown_progress, with_command_flags
from pytest_kdmem.cli.prediction import PairOptions, PredictorOptions
from pytest_kdmem.errors import SpecError
from pytest_kdmem.errors.harmless import quoted

if TYPE_CHECKING:
    from pytest_kdmem.risk.budget import Budget
    from pytest_kdmem.risk.prefilter import CleanedSet


@dataclass(frozen=True, kw_only=True)
class CleanedOutput:
    """Where the cleaned training set goes, and how much is left out of it."""

    out: Annotated[
        Path,
        typer.Option(help="Folder to create for the cleaned training set, a manifest, and the predictor."),
    ]
    recall: Annotated[
        str | None,
        typer.Option(help="Leave out enough to find this share of the memorized examples, such as 95%."),
    ] = None
    at_most: Annotated[
        str | None, typer.Option(help="Leave out at most this share of the training set's rows, such as 0.5%.")
    ] = None

    def budget(self, threshold: float | None) -> Budget:
        """Return how much is left out.

        Raises:
            SpecError: More than one limit is given, or one is no percentage.
        """
        from pytest_kdmem.risk.budget import Budget

        return Budget(threshold, parse_percentage("--recall", self.recall), parse_percentage("--at-most", self.at_most))


def prefilter(
    pair: PairOptions,
    output: CleanedOutput,
    predictor: PredictorOptions,
    examples: ExampleOptions,
    run: RunOptions,
    store: StoreOptions,
    dry_run: bool,
) -> None:
    """Write a training set without the examples at risk, in its own format, and a manifest of what was left out.

    An example at risk is left out with all its copies and near-duplicates. What is too short to be scored and stands
    several times is kept once. All other rows stay as they are, in their order.
    """
    settings = run.settings(dry_run=dry_run)
    with shown_progress(pair.opening()) as progress, store.opened() as opened:
        label_source, examples = pair.check(predictor, examples, run)
        from pytest_kdmem.risk.prefilter import end_prefilter_dry_run
        from pytest_kdmem.risk.prefilter import prefilter as write_cleaned

        budget = output.budget(predictor.risk_threshold)
        feature_names = predictor.feature_names()
        pipeline = pair.pipeline(examples, run, opened, settings, progress)
        if dry_run:
            end_prefilter_dry_run(pipeline, label_source, output.out)
        cleaned = write_cleaned(
            pipeline, label_source, output.out, feature_names=feature_names, budget=budget, report=say
        )
    for line in summary_lines(cleaned, budget):
        say(line)


def summary_lines(cleaned: CleanedSet, budget: Budget) -> list[str]:
    """Return what is printed: warnings, how much was left out and why, and what stays at risk."""
    from pytest_kdmem.base.text import count, percent
    from pytest_kdmem.risk.removal import SHORT_COPY

    lines = [with_command_flags(f"warning: {warning}") for warning in cleaned.risk.warnings]
    dropped = cleaned.removal
    counts = dropped.counts()
    short_copies = counts.pop(SHORT_COPY)
    reasons = ", ".join(f"{count(rows)} {reason}" for reason, rows in counts.items())
    reasons += f", {count(short_copies)} copies of what is too short" * bool(short_copies)
    lines.append(
        f"left out {count(len(dropped.rows))} of {count(cleaned.rows)} rows"
        f" ({percent(len(dropped.rows) / cleaned.rows)}): {reasons}; a risk of {dropped.threshold:.2g} or more, with"
        f" which {percent(dropped.recall)} of the memorized examples are found"
    )
    risks = cleaned.risk.risks
    if staying := int(((risks >= cleaned.risk.threshold) & (risks < dropped.threshold)).sum()):
        limit = f" of at most {percent(budget.at_most)} of the rows" if budget.at_most is not None else ""
        lines.append(
            f"! {count(staying)} examples at risk (a risk of {cleaned.risk.threshold:.2g} or more) remain because"
            f" of the limit{limit}: raise --at-most, or use --recall instead"
        )
    lines += repeated_lines(cleaned)
    lines.append(
        f"{count(cleaned.rows - len(dropped.rows))} rows in {cleaned.data}; what was left out and why in"
        f" {cleaned.folder}"
    )
    return lines


def repeated_lines(cleaned: CleanedSet) -> list[str]:
    """Return what is printed of rows that were not looked at, and of examples that stay with their copies."""
    from pytest_kdmem.base.text import count

    short, repeated, lines = cleaned.risk.features.too_short, cleaned.repeated, []
    if short:
        stays = repeated.too_short
        often = f", one of them {count(stays.most_copies)} times" if stays.most_copies > 1 else ""
        lines.append(f"not looked at: {short}; {count(stays.rows)} of these rows stay{often}")
    if repeated.examples:
        lines.append(
            f"{count(repeated.examples)} of the examples that stay still stand there several times (up to"
            f" {count(repeated.most_copies)}): only copies of what is at risk, or too short, are left out"
        )
    return lines


def parse_percentage(flag: str, text: str | None) -> float | None:
    """Return the share that a percentage such as ``0.5%`` stands for; None if it is not given.

    Raises:
        SpecError: It is no percentage between 0 and 100, or lacks its sign.
    """
    if text is None:
        return None
    try:
        number = float(text.removesuffix("%"))
    except ValueError:
        number = -1.0
    if not 0 < number < 100 or (text.endswith("%") and number / 100 == 0):
        raise SpecError(f"{flag} must be a percentage above 0% and below 100%, such as 0.5%; found {quoted(text)}.")
    if not text.endswith("%"):
        meanings = f"{text}%" + (f" or {100 * number:g}%" if number < 1 else "")
        raise SpecError(f"{flag} must be a percentage with its sign; found {quoted(text)}: write {meanings}.")
    return number / 100
