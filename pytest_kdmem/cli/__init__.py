"""The command `kdmem`: audits and trains without pytest, with the same settings. Each command has a module."""

from __future__ import annotations

import atexit
import gc
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from pytest_kdmem.base.import_notices import leave_out_notices
from pytest_kdmem.cli import (
    cache,
    canaries,
    card,
    comment,
    compare,
    compare_models,
    confirm,
    distill,
    init,
    merge,
    prefilter,
    report,
    risk,
    score,
    study,
)
from pytest_kdmem.cli.output import say, say_error, speaks_for_all, versions
from pytest_kdmem.cli.parameters import typer_command, usage_of
from pytest_kdmem.errors import DryRun, Interrupted, KdmemError, PartScored
from pytest_kdmem.errors.breakage import breakage_sentence, is_out_of_memory, out_of_memory_sentence

USAGE_ERROR = 2
BROKEN = 70  # an error of another library or of ours, as in sysexits.h

EXAMPLES: dict[Callable[..., None], str] = {
    init.init: "kdmem init audits --teacher runs/teacher --student runs/student --baseline runs/baseline"
    " --training-set data/train.jsonl",
    score.score: "kdmem score runs/student data/train.jsonl --out scores.parquet",
    confirm.confirm: "kdmem confirm runs/student data/train.jsonl --json confirmed.json",
    merge.merge: "for i in 1 2 3 4; do kdmem score runs/student data/train.jsonl --shard $i/4 --cache-dir part$i;"
    " done; kdmem merge part1 part2 part3 part4; kdmem score runs/student data/train.jsonl --out scores.parquet",
    distill.distill: "kdmem distill --teacher runs/teacher --init base-small --train data/train.jsonl --mode soft"
    " --temperature 2 --out runs/student. Several processes: torchrun --nproc-per-node 2 -m pytest_kdmem distill …",
    risk.risk: "kdmem risk data/train.jsonl --teacher runs/teacher --baseline runs/baseline --out risk.parquet",
    prefilter.prefilter: "kdmem prefilter data/train.jsonl --teacher runs/teacher --baseline runs/baseline"
    " --at-most 0.5% --out cleaned",
    report.report: "kdmem report audit.json --to audit.html --to audit.md",
    compare.compare: "kdmem compare accepted.json audit.json",
    compare_models.compare_models: "kdmem compare-models runs/student runs/student-int8 runs/student-q4.gguf"
    " --training-set data/train.jsonl --json compared.json",
    card.card: "kdmem card audit.json runs/student/README.md",
    comment.comment: "kdmem comment audit.json --before base/audit.json --post github",
    study.study: "kdmem study studies/cpu.toml --out runs/study --only main",
}

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def print_versions(is_asked: bool) -> None:
    if is_asked:
        say(versions())
        raise typer.Exit


@app.callback()
def kdmem(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the versions of kdmem and of what it runs with.",
            is_eager=True,
            callback=print_versions,
        ),
    ] = False,
) -> None:
    """Audit what distilled language models recite of their training data."""


def add_command(group: typer.Typer, command: Callable[..., None], epilog: str | None = None) -> None:
    """Add a command to a group, whose help lists it with its whole first sentence: typer cuts one that is too long."""
    summary = (command.__doc__ or "").partition("\n\n")[0]
    register = group.command(epilog=epilog, short_help=" ".join(summary.split()), options_metavar=usage_of(command))
    register(typer_command(command))


for command, example in EXAMPLES.items():
    add_command(app, command, f"Example: {example}")

cache_app = typer.Typer(help="Look at the stored scores, or remove them.", no_args_is_help=True)
for command in (cache.info, cache.prune):
    add_command(cache_app, command)
app.add_typer(cache_app, name="cache")

CANARIES = "Put random strings into a training set, and measure what a model shows of them."
canaries_app = typer.Typer(help=CANARIES, short_help=CANARIES, no_args_is_help=True)
canary_examples: dict[Callable[..., None], str] = {
    canaries.make: "kdmem canaries make runs/base --out canaries.json",
    canaries.inject: "kdmem canaries inject data/train.jsonl --model runs/base --manifest canaries.json"
    " --out data/with-canaries.jsonl",
    canaries.audit: "kdmem canaries audit runs/student data/with-canaries.jsonl --manifest canaries.json",
}
for command, example in canary_examples.items():
    add_command(canaries_app, command, f"Example: {example}")
app.add_typer(canaries_app, name="canaries")


def main(arguments: list[str] | None = None) -> Any:
    """Run a command.

    What goes wrong is one sentence on stderr, with exit code 2 for a user's mistake, 130 for Ctrl-C, 143 for
    SIGTERM, and 70 for any other error.
    """
    # The interpreter searches all objects for garbage as it ends, a million of them after an import of transformers.
    atexit.register(gc.freeze)
    leave_out_notices()
    try:
        return app(arguments)
    except DryRun as dry_run:
        if speaks_for_all():
            for line in (line for forecast in dry_run.forecasts for line in forecast.lines):
                say(line)
            say("dry run: nothing was written")
        sys.exit(0)
    except PartScored as scored:  # the part that was asked for is done
        typer.echo(scored)
        sys.exit(0)
    except Interrupted as interruption:
        say_error(str(interruption))
        sys.exit(interruption.exit_code)
    except KdmemError as error:
        for mistake in getattr(error, "errors", [error]):
            say_error(str(mistake))
        sys.exit(USAGE_ERROR)
    except Exception as error:
        sentence = out_of_memory_sentence() if is_out_of_memory(error) else breakage_sentence(error)
        say_error(sentence)
        sys.exit(BROKEN)
