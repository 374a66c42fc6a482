"""The command `kdmem`: the same settings as in audits, without pytest; a module a command."""

from __future__ import annotations

import sys
from typing import Any

import typer

from pytest_kdmem.cli import cache, card, compare, confirm, distill, init, merge, prefilter, report, risk, score, study
from pytest_kdmem.errors import KdmemError, PartScored, TrainingInterrupted

USAGE_ERROR = 2
INTERRUPTED = 128 + 15  # as a process that SIGTERM ended

app = typer.Typer(
    help="Audit what distilled language models recite of their training data.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command(
    epilog="Example: kdmem init audits --teacher runs/teacher --student runs/student --baseline runs/baseline"
    " --training-set data/train.jsonl"
)(init.init)
app.command(epilog="Example: kdmem score runs/student data/train.jsonl --out scores.parquet")(score.score)
app.command(epilog="Example: kdmem confirm runs/student data/train.jsonl --json confirmed.json")(confirm.confirm)
app.command(
    epilog="Example: for i in 1 2 3 4; do kdmem score runs/student data/train.jsonl --shard $i/4 --cache-dir part$i;"
    " done; kdmem merge part1 part2 part3 part4; kdmem score runs/student data/train.jsonl --out scores.parquet"
)(merge.merge)
app.command(
    epilog="Example: kdmem distill --teacher runs/teacher --init base-small --train data/train.jsonl --mode soft"
    " --temperature 2 --out runs/student. Several processes: torchrun --nproc-per-node 2 -m pytest_kdmem distill …"
)(distill.distill)
app.command(
    epilog="Example: kdmem risk data/train.jsonl --teacher runs/teacher --baseline runs/baseline --out risk.parquet"
)(risk.risk)
app.command(
    epilog="Example: kdmem prefilter data/train.jsonl --teacher runs/teacher --baseline runs/baseline --at-most 0.5%"
    " --out cleaned"
)(prefilter.prefilter)
app.command(epilog="Example: kdmem report audit.json --to audit.html --to audit.md")(report.report)
app.command(epilog="Example: kdmem compare accepted.json audit.json")(compare.compare)
app.command(epilog="Example: kdmem card audit.json runs/student/README.md")(card.card)
app.command(epilog="Example: kdmem study studies/cpu.toml --out runs/study --only main")(study.study)

of_cache = typer.Typer(help="Look at the score store, or clear it.", no_args_is_help=True)
of_cache.command()(cache.info)
of_cache.command()(cache.prune)
app.add_typer(of_cache, name="cache")


def _as_options(message: str) -> str:
    """Settings as commands call them, where pytest has a prefix."""
    return message.replace("--kdmem-risk-threshold", "--threshold").replace("--kdmem-", "--")


def main(arguments: list[str] | None = None) -> Any:
    """Entry point: a mistake of the user's is one sentence on stderr and exit code 2; SIGTERM is 143."""
    try:
        return app(arguments)
    except PartScored as scored:  # all that was asked for
        typer.echo(scored)
        sys.exit(0)
    except TrainingInterrupted as stopped:
        typer.echo(f"kdmem: {stopped}", err=True)
        sys.exit(INTERRUPTED)
    except KdmemError as error:
        from pytest_kdmem.report.github import neutralize_commands
        from pytest_kdmem.report.sanitize import sanitize

        # It may quote a file: no line of it is to be taken for a runner's command.
        said = neutralize_commands("\n".join(sanitize(line) for line in _as_options(str(error)).splitlines()))
        typer.echo(f"kdmem: {said}", err=True)
        sys.exit(USAGE_ERROR)
