"""Study → findings.json, tables.md and plots: measured figures beside the published ones, and whether they agree."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from pytest_kdmem.errors import DataError
from pytest_kdmem.study.findings import (
    cluster,
    easy,
    families,
    forced,
    hard,
    inherited,
    pilot,
    prefilter,
    rates,
    repetition,
    risk,
    stability,
    temperature,
)
from pytest_kdmem.study.findings.direction import RULE
from pytest_kdmem.study.findings.figures import Row, Share, Spread, Unit
from pytest_kdmem.study.plots import write_plots
from pytest_kdmem.study.record import ModelRun, Study

SCHEMA_VERSION = 1
PAPER = "arXiv 2601.15394"
NOT_RUN = "not run"
UNDEFINED = "undefined"
SUFFIXES: dict[Unit, str] = {
    "percent": " %",
    "examples": "",
    "nats": " nats",
    "perplexity": "",
    "times": " ×",
    "r": "",
    "bytes": " bytes",
    "area": "",
    "copies": "",
    "seconds": " s",
    "tokens": "",
    "bits": " bits",
}


@dataclass(frozen=True)
class Finding:
    """One heading of the report: the function that computes its result, and the one that turns it into rows."""

    key: str
    title: str
    find: Callable[[Study], Any]
    rows: Callable[[Any], Sequence[Row]]


FINDINGS = (
    Finding("rates", "Rates and utility (findings 1, 2)", rates.rates, rates.rows),
    Finding("inherited", "Inheritance (finding 3)", inherited.inherited, inherited.rows),
    Finding("easy", "Easy examples (finding 4)", easy.easy, easy.rows),
    Finding("stability", "The same examples over seeds and sizes (finding 4)", stability.stability, stability.rows),
    Finding("cluster", "zlib bytes and perplexity of the easy set (finding 4)", cluster.cluster, cluster.rows),
    Finding("families", "Across families (finding 5)", families.families, families.rows),
    Finding("risk", "Predicted before distilling (finding 6)", risk.risk, risk.rows),
    Finding("prefilter", "Distilled again without what is at risk (finding 7)", prefilter.prefilter, prefilter.rows),
    Finding("forced", "Entropy and log-probability (finding 8)", forced.forced, forced.rows),
    Finding("temperature", "Temperature (finding 9)", temperature.temperature, temperature.rows),
    Finding("hard", "Soft against hard distillation (finding 10)", hard.soft_against_hard, hard.rows),
    Finding("pilot", "From checkpoint to checkpoint (finding 11)", pilot.pilot, pilot.rows),
    Finding("repetition", "Memorized by number of repetitions", repetition.repetition, repetition.rows),
)

LEGEND = (
    "T, B, S and H are what teacher, baseline, soft and hard student memorized, over distinct examples of D that are"
    " long enough; ∖ is “without”. *Measured* is the mean ± sample standard deviation over n seeds (pairs of seeds"
    " where two are compared); *by seed* has the counts behind it. “Undefined” is a figure of no examples, or a mean"
    " over seeds of which one has no such figure. Entropies are means over the suffix, log-probabilities sums over it;"
    " the variance of perplexities is that of their logarithms. zlib bytes are of the decoded window, whose length in"
    " text depends on the tokenizer. Published figures stand where the family and data set have the same name; they"
    " come from models and data of another scale, so only directions are compared."
)


def write_report(study: Study, out: Path) -> tuple[Path, ...]:
    """Write findings.json, tables.md and the plots there is something to draw for; the paths, in that order.

    Raises:
        DataError: scores are missing or not finite.
    """
    results = {finding.key: finding.find(study) for finding in FINDINGS}
    out.mkdir(parents=True, exist_ok=True)
    plots = write_plots(study, out)
    figures, tables = out / "findings.json", out / "tables.md"
    document = json.dumps(to_json(study, results), indent=2, ensure_ascii=False, allow_nan=False)
    figures.write_text(document + "\n", encoding="utf-8")
    tables.write_text(to_markdown(study, results, plots), encoding="utf-8")
    return figures, tables, *plots


def to_json(
    study: Study, results: Mapping[str, Any], listed: Sequence[Finding] = FINDINGS, published: str = PAPER
) -> dict[str, Any]:
    """Figures of some findings as plain values: dicts, lists, strings, finite numbers, None for what is undefined."""
    findings = {
        finding.key: {
            "title": finding.title,
            "status": "run" if results[finding.key] else NOT_RUN,
            "rows": plain(finding.rows(results[finding.key])),
            "figures": plain(results[finding.key]),
        }
        for finding in listed
    }
    head = {"schema_version": SCHEMA_VERSION, "study": study.name, "published": published, "rule": RULE}
    return head | {"settings": plain(study.settings), "findings": findings}


def plain(value: Any) -> Any:
    """A result as plain JSON values.

    Raises:
        DataError: a number is not finite, or a value of a kind that has no place in JSON.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, Share):
        return {"k": value.k, "n": value.n, "value": value.value}
    if isinstance(value, Spread):
        values = list(value.values)
        return {"values": values, "n": value.n, "mean": value.mean, "deviation": value.deviation}
    if is_dataclass(value) and not isinstance(value, type):
        return {field.metadata.get("json", field.name): plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    raise DataError(
        f"A finite figure was expected in the report, and one is {value!r}; train and score that model again."
    )


def to_markdown(study: Study, results: Mapping[str, Any], plots: Sequence[Path] = ()) -> str:
    """A heading and a table for each finding; “not run” where the study has nothing for it."""
    blocks = [f"# Study {cell(study.name)}, beside {PAPER}", LEGEND, f"**Direction.** {RULE}", data_of(study)]
    blocks += ["## Models", models_of(study)]
    blocks += sections(results)
    blocks += ["## Plots", *(f"![{plot.stem.replace('-', ' ')}]({plot.name})" for plot in plots)] if plots else []
    return "\n\n".join(blocks) + "\n"


def sections(results: Mapping[str, Any], listed: Sequence[Finding] = FINDINGS) -> list[str]:
    """A heading and a table for each of some findings, as blocks of Markdown."""
    tables = [(finding.title, finding.rows(results[finding.key])) for finding in listed]
    return [block for title, lines in tables for block in (f"## {title}", _table(lines) if lines else f"{NOT_RUN}.")]


def data_of(study: Study) -> str:
    """A paragraph on what the models were trained on."""
    sizes = "; ".join(
        f"{cell(name)}, {number(len(set(documents)), 'examples')} distinct examples in"
        f" {number(len(documents), 'examples')} rows"
        for name, documents in study.documents.items()
    )
    planted = ", ".join(f"{share:.0%} stand {copies} times" for copies, share in study.settings.get("repetition", ()))
    repeats = f" Repeats are planted: of the distinct examples {planted}." if planted else ""
    return f"**D.** {sizes}.{repeats} One teacher is trained a data set; seeds vary the order of data of the others."


def models_of(study: Study) -> str:
    """Parameters and seconds of training of each kind of model."""
    kinds: dict[tuple[str, ...], list[ModelRun]] = {}
    for run in study.runs:
        kinds.setdefault((run.part, run.family, run.dataset, run.role, run.size), []).append(run)
    table = [("part", "family", "data", "role", "parameters", "models", "seconds a model"), ("---",) * 7]
    for (part, family, dataset, role, _), runs in kinds.items():
        seconds = sum(run.seconds for run in runs) / len(runs)
        parameters = number(runs[0].parameters, "examples")
        table.append((part, family, dataset, role, parameters, str(len(runs)), f"{seconds:.0f}"))
    return "\n".join(f"| {' | '.join(cell(each) for each in line)} |" for line in table)


def _table(lines: Sequence[Row]) -> str:
    head = ("setting", "figure", "measured", "n", "by seed", "published", "direction")
    table = [head, ("---",) * len(head), *(_line(line) for line in lines)]
    return "\n".join(f"| {' | '.join(cell(each) for each in line)} |" for line in table)


def _line(line: Row) -> tuple[str, ...]:
    counts = [f"{share.k}/{share.n}" for share in line.counts]
    return (
        line.setting,
        line.figure,
        measured(line.measured, line.unit),
        str(line.measured.n),
        ", ".join(counts or [number(each, line.unit) for each in line.measured.values]),
        "—" if line.published is None else number(line.published, line.unit) + SUFFIXES[line.unit],
        f"{line.claim}: {line.agreement}" if line.agreement else "—",
    )


def measured(spread: Spread, unit: Unit) -> str:
    """Mean ± sample standard deviation, the latter from two seeds on, with the unit."""
    if spread.mean is None:
        return UNDEFINED
    deviation = "" if spread.deviation is None else f" ± {number(spread.deviation, unit)}"
    return f"{number(spread.mean, unit)}{deviation}{SUFFIXES[unit]}"


def number(value: float | None, unit: Unit) -> str:
    """A figure as it is printed, without its unit."""
    if value is None:
        return UNDEFINED
    match unit:
        case "percent":
            return f"{100 * value:.3g}"
        case "examples":
            return f"{value:,.{0 if value == round(value) else 1}f}".replace(",", "\u202f")
        case "nats" | "r":
            return f"{value:.3f}"
        case "area":
            return f"{value:.4f}"
        case "bytes" | "copies" | "tokens":
            return f"{value:.1f}"
        case "seconds":
            return f"{value:.0f}"
        case "perplexity" | "times" | "bits":
            return f"{value:.2f}"


def cell(text: str) -> str:
    """Text in which nothing ends the table's cell or line."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|")
