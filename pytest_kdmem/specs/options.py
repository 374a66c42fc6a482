"""Every setting, defined once: pytest takes it as `--kdmem-NAME`, `KDMEM_NAME` or `kdmem_name`, commands as `--NAME`.

PYTEST_DONT_REWRITE: loaded in every run of pytest, and without an assert.
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
    """One setting. ``check`` returns what is wrong with a value of the right kind, or nothing."""

    name: str
    kind: Kind
    help: str
    default: Any = None
    check: Callable[[Any], str] = lambda value: ""

    @property
    def flag(self) -> str:
        return f"--kdmem-{self.name}"

    @property
    def key(self) -> str:
        return self.name.replace("-", "_")

    @property
    def variable(self) -> str:
        return f"KDMEM_{self.key.upper()}"


def _one_of(*choices: str) -> Callable[[Any], str]:
    return lambda value: "" if value in choices else f"one of {', '.join(choices)}"


def _at_least(least: int) -> Callable[[Any], str]:
    return lambda value: "" if value >= least else f"a whole number of at least {least}"


def _between(low: float, high: float) -> Callable[[Any], str]:
    return lambda value: "" if low <= value <= high else f"a number between {low:g} and {high:g}"


def _part(value: str) -> str:
    match = re.fullmatch(r"([1-9][0-9]*)/([1-9][0-9]*)", value, re.ASCII)
    return "" if match and int(match[1]) <= int(match[2]) else "of the form 3/16, the third of 16 parts"


def _report(paths: Any) -> str:
    wrong = [path for path in paths if Path(path).suffix not in REPORT_ENDINGS]
    return f"paths ending in {', '.join(REPORT_ENDINGS)}" if wrong else ""


def _accepted(path: str) -> str:
    return "" if Path(path).suffix == ".json" else "a path ending in .json"


OPTIONS = (
    Option("teacher", "path", "folder or hub id of the model that was distilled"),
    Option("student", "path", "folder or hub id of the model to be released"),
    Option("baseline", "path", "folder or hub id of a model of the student's size, fine-tuned without a teacher"),
    Option("training-set", "path", "what they were trained on: file, folder, address (s3://…), hub id or preset"),
    Option("control-set", "path", "text that none of them was trained on"),
    Option("text-column", "text", "column of the text", "text"),
    Option(
        "form", "text", "how text became examples: documents or blocks", "documents", _one_of("documents", "blocks")
    ),
    Option("prefix-tokens", "count", "tokens given to the model", 50, _at_least(1)),
    Option("suffix-tokens", "count", "tokens expected from it", 50, _at_least(1)),
    Option("window-tokens", "count", "most tokens kept of an example", 256, _at_least(1)),
    Option("sample", "count", "audit so many distinct examples, drawn at random", None, _at_least(1)),
    Option("seed", "count", "of the sample", 0, _at_least(0)),
    Option(
        "engine",
        "text",
        "what runs the models: auto (vllm for verdicts on a GPU where it is installed), transformers or vllm",
        "auto",
        _one_of("auto", "transformers", "vllm"),
    ),
    Option(
        "dtype",
        "text",
        "arithmetic: auto (float32 on a CPU, the checkpoint's on a GPU), float32, bfloat16 or float16",
        "auto",
        _one_of("auto", "float32", "bfloat16", "float16"),
    ),
    Option("device", "text", "auto, cpu or cuda", "auto", _one_of("auto", "cpu", "cuda")),
    Option("batch-size", "count", "examples at once; found by itself if not given", None, _at_least(1)),
    Option("tensor-parallel", "count", "GPUs that share one model (vllm)", 1, _at_least(1)),
    Option(
        "executor",
        "text",
        "where models run: local, or ray for the workers of a cluster",
        "local",
        _one_of("local", "ray"),
    ),
    Option("workers", "count", "workers of ray; as many as there is room for if not given", None, _at_least(1)),
    Option("cpus-per-worker", "count", "CPUs of a worker of ray that has no GPU", 1, _at_least(1)),
    Option("shard", "text", "score only the n-th of m parts, as 3/16, and hold no gate", None, _part),
    Option("confidence", "number", "of the bounds over a sample", 0.95, _between(0.5, 0.9999)),
    Option("max-memorization-rate", "number", "threshold of the student's rate", 0.001, _between(0, 1)),
    Option("max-inheritance-ratio", "number", "threshold of the inheritance ratio", 0.02, _between(0, 1)),
    Option("min-reduction", "number", "threshold of rate(baseline) / rate(student)", 2.0, _between(0, 1e9)),
    Option("max-predicted-risk", "number", "threshold of the share of the training set at risk", 0.005, _between(0, 1)),
    Option(
        "risk-threshold",
        "number",
        "probability of being memorized at which an example is at risk; if not given, one that finds 95 of 100",
        None,
        _between(1e-9, 1 - 1e-9),
    ),
    Option(
        "labels-from",
        "path",
        "what risk is learned from: an earlier student, its scores (.parquet), or both (teacher and baseline), as it is"
        " if not given",
    ),
    Option("predictor", "path", "predictor of risk that was fitted before (kdmem risk --save)"),
    Option("confirm", "flag", "check ambiguous and other examples by every installed engine and by decoding"),
    Option("report", "paths", "write a report here (.json, .html, .md, .sarif); repeatable", (), _report),
    Option("show-text", "flag", "show prefix and suffix of recited examples in reports; they are training text"),
    Option("baseline-file", "path", "committed file (.json) of the figures that were accepted", None, _accepted),
    Option("update-baseline-file", "flag", "accept the figures of this run; on the command line only"),
    Option("cache-dir", "path", "where scores are kept", ".kdmem"),
    Option("no-cache", "flag", "keep no scores beyond this run"),
    Option("offline", "flag", "never open a connection"),
    Option("trust-remote-code", "flag", "run modelling code that comes with a checkpoint"),
)
