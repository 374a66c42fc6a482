"""`kdmem score`: scores every example of a training set and writes the table of scores."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from pytest_kdmem.base.addresses import Place, ending, file_place
from pytest_kdmem.base.text import last_part
from pytest_kdmem.cli.first_checks import check_inputs, check_order
from pytest_kdmem.cli.options import Base, EngineOptions, SampledExampleOptions, StoreOptions, check_outputs
from pytest_kdmem.cli.output import say, say_warning, shown_progress, with_command_flags
from pytest_kdmem.cli.parameters import Spelling
from pytest_kdmem.cli.trained_window import with_trained_window
from pytest_kdmem.errors import SpecError

if TYPE_CHECKING:
    from pytest_kdmem.scoring.confirmation import Confirmation
    from pytest_kdmem.scoring.table import ScoreTable


@dataclass(frozen=True, kw_only=True)
class ScoreOutput:
    """Whether the whole training set is scored into a table, or one part of it into the cache alone."""

    out: Annotated[
        str | None,
        typer.Option(
            help="Table of scores to write (.parquet), a path or an address, with one row per example; not used with"
            " --shard."
        ),
    ] = None
    shard: str | None
    dry_run: bool
    confirm: bool

    def check(self, training_set: str, *, no_cache: bool, offline: bool) -> None:
        """Refuse outputs that do not go together or would overwrite the training set.

        Raises:
            SpecError: The options contradict each other.
        """
        if self.shard is not None and (self.out is not None or self.confirm or no_cache):
            raise SpecError("--shard scores a part into the cache: --out, --confirm and --no-cache need a whole run.")
        if self.shard is None and self.out is None and not self.dry_run:
            raise SpecError(
                "A file for the table of scores was expected, and none is named; add --out scores.parquet, or --shard"
                " to score a part into the cache alone."
            )
        if self.out is not None and ending(self.out) != ".parquet":
            raise SpecError(f"--out must end in .parquet; found {self.out}.")
        if self.out is not None and offline and isinstance(file_place(self.out), str):
            raise SpecError(f"--out {self.out} lies in an object store, and --offline forbids writing there.")
        check_outputs({"--out": self.out}, {"the training set": training_set})


def score(
    model: Annotated[str, typer.Argument(help="Folder or hub id of the model to score.")],
    training_set: Annotated[str, Spelling(positional=True)],
    output: ScoreOutput,
    examples: SampledExampleOptions,
    run: EngineOptions,
    store: StoreOptions,
    base: Base = None,
) -> None:
    """Score every example of a training set and write the table of scores."""
    settings = run.settings(output.shard, dry_run=output.dry_run)
    output.check(training_set, no_cache=store.no_cache, offline=run.offline)
    if output.out is not None and not output.dry_run:
        _remove(file_place(output.out))  # a table of an earlier run must not be taken for the result of this one
    declared, declared_set = run.model(model, base), examples.training_set(training_set)
    with shown_progress(f"opening {last_part(model)}") as progress, store.opened() as opened:
        check_order("kdmem score", model, training_set)
        check_inputs([declared], [declared_set], offline=run.offline)
        examples = with_trained_window(examples, [declared], offline=run.offline)
        from pytest_kdmem.scoring.confirm import confirm as confirm_scores
        from pytest_kdmem.scoring.score import score as score_model

        scores = score_model(
            declared,
            declared_set,
            examples.extraction,
            opened,
            settings=settings,
            progress=progress,
        )
        confirmation = confirm_scores(scores, settings, opened, progress=progress) if output.confirm else None
    assert output.out is not None  # scoring a part and a dry run have no table, and end above in PartScored
    write_scores(scores, confirmation, output.out)


def _remove(out: Place) -> None:
    if isinstance(out, str):
        from pytest_kdmem.base.remote_files import make_room

        make_room(out)
    else:
        with suppress(OSError):  # an error that matters comes again when the table is written
            out.unlink()


def write_scores(scores: ScoreTable, confirmation: Confirmation | None, out: Place) -> None:
    """Write the table of scores and print a summary.

    Raises:
        EngineError: The confirmation contradicts the scores; no table is written.
    """
    from pytest_kdmem.auditing.scored_share import short_copies_warning
    from pytest_kdmem.auditing.summarize import confirmation_entry
    from pytest_kdmem.base.files import write_table
    from pytest_kdmem.metrics.memorization import Memorization
    from pytest_kdmem.report.confirmation import confirmation_line
    from pytest_kdmem.report.sentences import unaudited_phrase
    from pytest_kdmem.scoring.table import LENGTHS_KEY, encode_lengths

    memorization = Memorization(scores.model.name, scores)
    if confirmation is not None:
        confirmation.check(memorization.subject)
        say(confirmation_line(memorization.subject, confirmation_entry(confirmation)))
    write_table(scores.rows.replace_schema_metadata({LENGTHS_KEY: encode_lengths(scores.extraction)}), out)
    rate, left_out = memorization.rate, scores.record.left_out
    shorter = f", {left_out} shorter documents left out" if left_out else ""
    say(f"{rate.metric} of {memorization.subject}: {rate}{shorter}")
    if phrase := unaudited_phrase(scores.record.unaudited_turns):
        say(with_command_flags(phrase))
    if warning := short_copies_warning(scores):
        say_warning(warning)
    for note in scores.notes:
        say_warning(note)
    say(f"{len(scores.rows)} rows in {out}")
