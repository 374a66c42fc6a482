"""Defines the settings that say how models are run, and where.

PYTEST_DONT_REWRITE: every run of pytest loads this module, and it has no assert.
"""

from __future__ import annotations

from typing import get_args

from pytest_kdmem.specs.checks import choice, part_of_run, whole_number
from pytest_kdmem.specs.declared import DType
from pytest_kdmem.specs.option import Option
from pytest_kdmem.specs.runtime import DEVICES, ENGINES, EXECUTORS, SCREEN_DTYPES

RUN_OPTIONS = (
    Option(
        "engine",
        "text",
        "Library that runs the models: transformers, vllm, or auto (vllm where it is installed, on a GPU, if only"
        " memorization is measured; otherwise transformers).",
        "auto",
        choice(*ENGINES),
    ),
    Option(
        "dtype",
        "text",
        "Precision in which the models compute: float32, bfloat16, float16, or auto (float32 decides; where half"
        " precision is faster, it scores every example first, and float32 those that it leaves uncertain).",
        "auto",
        choice(*get_args(DType)),
    ),
    Option(
        "screen-dtype",
        "text",
        "Precision that scores every example before float32 decides, if dtype is auto: bfloat16, float16, none (float32"
        " scores all), or auto (half precision on a GPU, and for large models on a CPU that multiplies bfloat16"
        " numbers).",
        "auto",
        choice(*SCREEN_DTYPES),
    ),
    Option(
        "device",
        "text",
        "Device that runs the models: cpu, cuda, or auto (cuda if there is a GPU).",
        "auto",
        choice(*DEVICES),
    ),
    Option(
        "batch-size",
        "count",
        "Number of examples per forward pass; if not given, it is chosen to fit the memory.",
        None,
        whole_number(1),
    ),
    Option(
        "no-compile",
        "flag",
        "Do not compile the layers of models for a GPU.",
    ),
    Option("tensor-parallel", "count", "Number of GPUs that vllm splits a model over.", 1, whole_number(1)),
    Option(
        "executor",
        "text",
        "Where the models run: local (on this machine) or ray (on the workers of a Ray cluster).",
        "local",
        choice(*EXECUTORS),
    ),
    Option(
        "workers",
        "count",
        "Number of Ray workers; if not given, as many as the cluster has room for.",
        None,
        whole_number(1),
    ),
    Option("cpus-per-worker", "count", "Number of CPUs that each Ray worker without a GPU takes.", 1, whole_number(1)),
    Option(
        "shard",
        "text",
        "Part of the training set to score, for example 3/16, the third of 16 parts. Its scores go to the cache, and"
        " nothing else is computed.",
        None,
        part_of_run,
    ),
    Option(
        "dry-run",
        "flag",
        "Run a few batches and print what would run, on what, how long it would take and how much it would store."
        " Nothing is written, and no gate is evaluated.",
    ),
)
