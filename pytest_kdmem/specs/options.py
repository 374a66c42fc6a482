"""Defines every setting once: pytest takes it as `--kdmem-NAME`, `KDMEM_NAME` or `kdmem_name`, commands as `--NAME`.

PYTEST_DONT_REWRITE: every run of pytest loads this module, and it has no assert.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Kind = Literal["text", "path", "count", "number", "flag", "paths"]
REPORT_ENDINGS = (".json", ".html", ".md", ".sarif")


@dataclass(frozen=True)
class Option:
    """One setting.

    Args:
        name: Name as on the command line.
        kind: Kind of its value.
        help: Help text, a whole sentence.
        default: Value if the setting is not given.
        check: Takes a value of the right kind and returns what was expected instead, or an empty string.
    """

    name: str
    kind: Kind
    help: str
    default: Any = None
    check: Callable[[Any], str] = lambda value: ""

    @property
    def flag(self) -> str:
        """Option of pytest."""
        return f"--kdmem-{self.name}"

    @property
    def key(self) -> str:
        """Name in Python; after `kdmem_`, the key in pytest's configuration."""
        return self.name.replace("-", "_")

    @property
    def variable(self) -> str:
        """Environment variable."""
        return f"KDMEM_{self.key.upper()}"


def _one_of(*choices: str) -> Callable[[Any], str]:
    return lambda value: "" if value in choices else f"one of {', '.join(choices)}"


def _at_least(least: int) -> Callable[[Any], str]:
    return lambda value: "" if value >= least else f"a whole number of at least {least}"


def _between(low: float, high: float) -> Callable[[Any], str]:
    return lambda value: "" if low <= value <= high else f"a number between {low:g} and {high:g}"


def _probability(value: Any) -> str:
    return "" if 0 < value < 1 else "a number above 0 and below 1"


def _part(value: str) -> str:
    match = re.fullmatch(r"([1-9][0-9]*)/([1-9][0-9]*)", value, re.ASCII)
    return "" if match and int(match[1]) <= int(match[2]) else "of the form 3/16, the third of 16 parts"


def _report(paths: Any) -> str:
    wrong = [path for path in paths if Path(path).suffix not in REPORT_ENDINGS]
    return f"paths ending in {', '.join(REPORT_ENDINGS)}" if wrong else ""


def _json_path(path: str) -> str:
    return "" if Path(path).suffix == ".json" else "a path ending in .json"


OPTIONS = (
    Option("teacher", "path", "Folder or hub id of the teacher, the model that the student is distilled from."),
    Option("student", "path", "Folder or hub id of the student, the distilled model that is to be released."),
    Option(
        "baseline",
        "path",
        "Folder or hub id of the baseline, a model of the student's size that is fine-tuned without a teacher.",
    ),
    Option(
        "training-set",
        "path",
        "Text that the models are trained on: a file, a folder, an address (s3://…), a hub id or the name of a preset.",
    ),
    Option("control-set", "path", "Text that no model is trained on; it takes the same forms as the training set."),
    Option("text-column", "text", "Name of the training set's column that holds the text.", "text"),
    Option(
        "form",
        "text",
        "How training cuts text into examples: documents (the start of each document) or blocks (documents joined, then"
        " cut).",
        "documents",
        _one_of("documents", "blocks"),
    ),
    Option(
        "prefix-tokens", "count", "Number of tokens at the start of an example that a model is given.", 50, _at_least(1)
    ),
    Option(
        "suffix-tokens",
        "count",
        "Number of tokens after the prefix that a model must reproduce for the example to count as memorized.",
        50,
        _at_least(1),
    ),
    Option("window-tokens", "count", "Number of tokens after which examples are cut off.", 256, _at_least(1)),
    Option(
        "sample",
        "count",
        "Number of distinct examples to draw at random; the whole training set is used if this is not given.",
        None,
        _at_least(1),
    ),
    Option("seed", "count", "Seed of the random sample.", 0, _at_least(0)),
    Option(
        "engine",
        "text",
        "Library that runs the models: transformers, vllm, or auto (vllm where it is installed, on a GPU, if only"
        " memorization is measured; otherwise transformers).",
        "auto",
        _one_of("auto", "transformers", "vllm"),
    ),
    Option(
        "dtype",
        "text",
        "Precision in which the models compute: float32, bfloat16, float16, or auto (float32 on a CPU, the checkpoint's"
        " own on a GPU).",
        "auto",
        _one_of("auto", "float32", "bfloat16", "float16"),
    ),
    Option(
        "device",
        "text",
        "Device that runs the models: cpu, cuda, or auto (cuda if there is a GPU).",
        "auto",
        _one_of("auto", "cpu", "cuda"),
    ),
    Option(
        "batch-size", "count", "Number of examples per forward pass; chosen to fit if not given.", None, _at_least(1)
    ),
    Option("tensor-parallel", "count", "Number of GPUs that vllm splits a model over.", 1, _at_least(1)),
    Option(
        "executor",
        "text",
        "Where the models run: local (on this machine) or ray (on the workers of a Ray cluster).",
        "local",
        _one_of("local", "ray"),
    ),
    Option(
        "workers",
        "count",
        "Number of Ray workers; as many as the cluster has room for if not given.",
        None,
        _at_least(1),
    ),
    Option("cpus-per-worker", "count", "Number of CPUs that each Ray worker without a GPU takes.", 1, _at_least(1)),
    Option(
        "shard",
        "text",
        "Part of the training set to score, for example 3/16, the third of 16 parts. Its scores go to the cache, and"
        " nothing else is computed.",
        None,
        _part,
    ),
    Option(
        "confidence",
        "number",
        "Confidence level of each one-sided bound that is computed from a sample.",
        0.95,
        _between(0.5, 0.9999),
    ),
    Option(
        "max-memorization-rate",
        "number",
        "Highest memorization rate that the student may have: the share of examples that it memorized.",
        0.001,
        _between(0, 1),
    ),
    Option(
        "max-inheritance-ratio",
        "number",
        "Highest inheritance ratio that the student may have: of the examples that the teacher memorized and the"
        " baseline did not, the share that the student memorized.",
        0.02,
        _between(0, 1),
    ),
    Option(
        "min-reduction",
        "number",
        "Lowest reduction that the student may have: the baseline's memorization rate divided by the student's.",
        2.0,
        _between(0, 1e9),
    ),
    Option(
        "max-predicted-risk",
        "number",
        "Highest share of the training set's examples that may be at risk of being memorized.",
        0.005,
        _between(0, 1),
    ),
    Option(
        "risk-threshold",
        "number",
        "Predicted probability of being memorized from which on an example is at risk; if not given, the one that finds"
        " 95 of 100 memorized examples.",
        None,
        _probability,
    ),
    Option(
        "labels-from",
        "path",
        "Which examples the risk predictor takes as memorized: those of an earlier student (folder or hub id), those of"
        " its table of scores (.parquet), or both (those that teacher and baseline both memorized; the default).",
    ),
    Option(
        "predictor",
        "path",
        "File of a fitted risk predictor (written by kdmem risk --save), used instead of fitting one.",
    ),
    Option(
        "confirm",
        "flag",
        "Check the ambiguous examples and a sample of the others with every installed engine and by greedy decoding.",
    ),
    Option("report", "paths", "File to write a report to (.json, .html, .md or .sarif); may be repeated.", (), _report),
    Option("show-text", "flag", "Show the text of memorized examples in reports; it is training text."),
    Option(
        "baseline-file",
        "path",
        "File of accepted results (.json) that this run is compared with; keep it under version control.",
        None,
        _json_path,
    ),
    Option(
        "update-baseline-file",
        "flag",
        "Accept the results of this run and write them to the baseline file; only on the command line.",
    ),
    Option("cache-dir", "path", "Folder where scores are kept for later runs.", ".kdmem"),
    Option("no-cache", "flag", "Do not keep scores after this run."),
    Option("offline", "flag", "Never open a network connection."),
    Option("trust-remote-code", "flag", "Run Python code that a model's checkpoint brings along."),
)
