"""Defines every setting once: pytest takes it as `--kdmem-NAME`, `KDMEM_NAME` or `kdmem_name`, commands as `--NAME`.

PYTEST_DONT_REWRITE: every run of pytest loads this module, and it has no assert.
"""

from __future__ import annotations

from typing import get_args

from pytest_kdmem.specs.checks import (
    choice,
    number,
    on_this_machine,
    part_of_run,
    path_ending_in,
    places_ending_in,
    provenance_names,
    whole_number,
)
from pytest_kdmem.specs.declared import DType, EndOfDocument, Form, Reading, TokenDType
from pytest_kdmem.specs.option import Option
from pytest_kdmem.specs.other_readings import accepted_readings
from pytest_kdmem.specs.runtime import DEVICES, ENGINES, EXECUTORS, SCREEN_DTYPES

REPORT_ENDINGS = (".json", ".html", ".md", ".sarif")


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
        "How training cuts text into examples: documents (the start of each document) or blocks (documents joined and"
        " then cut).",
        "documents",
        choice(*get_args(Form)),
    ),
    Option(
        "eos",
        "text",
        "Where blocks have an EOS behind each document: always, once (unless the document ends in it) or never. If not"
        " given, it is always, and documents that end in EOS are refused.",
        None,
        choice(*get_args(EndOfDocument)),
    ),
    Option(
        "add-special-tokens",
        "truth",
        "Whether training had the special tokens that the tokenizer adds by itself, such as BOS: yes or no. It must be"
        " given if the tokenizer adds any and no run card tells.",
    ),
    Option(
        "tokenizer",
        "text",
        "Whose token ids training had: those of the model folder's tokenizer.json by itself (file), or of the class"
        " that transformers makes of the folder (auto). It must be given if the two differ on the text.",
        None,
        choice(*get_args(Reading)),
    ),
    Option(
        "token-dtype",
        "text",
        "Type of the token ids in a flat .bin file, which says nothing of itself: uint16 or uint32.",
        None,
        choice(*get_args(TokenDType)),
    ),
    Option(
        "eos-id",
        "count",
        "Token id that ends each document of a flat .bin file; none is given with form blocks, which cuts the file into"
        " windows.",
        None,
        whole_number(0, bits=31),
    ),
    Option(
        "order",
        "path",
        "File with the order of a Megatron training's samples (…_shuffle_idx.npy or …-shuffle_index.npy), for a .bin"
        " file with its .idx file; the two files beside it are read, too.",
    ),
    Option(
        "prefix-tokens",
        "count",
        "Number of tokens at the start of an example that a model is given.",
        50,
        whole_number(1),
    ),
    Option(
        "suffix-tokens",
        "count",
        "Number of tokens after the prefix that a model must reproduce for the example to count as memorized.",
        50,
        whole_number(1),
    ),
    Option("window-tokens", "count", "Number of tokens after which examples are cut off.", 256, whole_number(1)),
    Option(
        "sample",
        "count",
        "Number of distinct examples to draw at random; the whole training set is used if this is not given.",
        None,
        whole_number(1),
    ),
    Option("seed", "count", "Seed of the random sample.", 0, whole_number(0)),
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
        "batch-size", "count", "Number of examples per forward pass; chosen to fit if not given.", None, whole_number(1)
    ),
    Option(
        "no-compile",
        "flag",
        "Run models as they were written, and do not compile their layers for a GPU.",
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
        "Number of Ray workers; as many as the cluster has room for if not given.",
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
        "confidence",
        "number",
        "Confidence level of each one-sided bound that is computed from a sample.",
        0.95,
        number(least=0.5, most=0.9999),
    ),
    Option(
        "max-memorization-rate",
        "number",
        "Highest memorization rate that the student may have: the share of examples that it memorized.",
        0.001,
        number(least=0, most=1),
    ),
    Option(
        "max-inheritance-ratio",
        "number",
        "Highest inheritance ratio that the student may have: of the examples that the teacher memorized and the"
        " baseline did not, the share that the student memorized.",
        0.02,
        number(least=0, most=1),
    ),
    Option(
        "min-reduction",
        "number",
        "Lowest reduction that the student may have: the baseline's memorization rate divided by the student's.",
        2.0,
        number(least=0, most=1e9),
    ),
    Option(
        "max-predicted-risk",
        "number",
        "Highest share of the training set's examples that may be at risk of being memorized.",
        0.005,
        number(least=0, most=1),
    ),
    Option(
        "risk-threshold",
        "number",
        "Examples with at least this predicted probability of being memorized are at risk; if not given, the one that"
        " finds 95 of 100 memorized examples.",
        None,
        number(above=0, below=1),
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
        "min-scored-share",
        "number",
        "Least share of the examples that must be long enough to be scored; with fewer an audit says nothing.",
        0.5,
        number(least=0, most=1),
    ),
    Option(
        "accept-provenance",
        "text",
        "Differences between run cards and this audit that are accepted, as ROLE:KIND with commas between several"
        " (student:training-set); a kind is training-set, teacher, role or window.",
        None,
        provenance_names,
    ),
    Option(
        "confirm",
        "flag",
        "Check examples that rounding could decide, and a sample of the others, with every installed engine and by"
        " greedy decoding.",
    ),
    Option(
        "accept-reading",
        "text",
        "Readings of the training set that may be likelier to a model than the declared one, and noise if the set may"
        " be as unlikely to it, by the names in the error that stopped the audit, with commas between them; a warning"
        " says so instead.",
        None,
        accepted_readings,
    ),
    Option(
        "report",
        "paths",
        "File to write a report to (.json, .html, .md or .sarif), a path or an address (s3://…); may be repeated.",
        (),
        places_ending_in(*REPORT_ENDINGS),
    ),
    Option("show-text", "flag", "Show the text of memorized examples in reports; it is training text."),
    Option(
        "baseline-file",
        "path",
        "File of accepted results (.json) that this run is compared with; keep it under version control.",
        None,
        path_ending_in(".json"),
    ),
    Option(
        "update-baseline-file",
        "flag",
        "Accept the results of this run and write them to the baseline file; only on the command line.",
    ),
    Option(
        "partial",
        "flag",
        "Let pytest exit with 0, and not with 10, where no gate failed and gates of the audits were skipped, left out"
        " or compared nothing; the verdict is still that nothing is decided.",
    ),
    Option("cache-dir", "path", "Folder where scores are kept for later runs.", ".kdmem", on_this_machine),
    Option("no-cache", "flag", "Do not keep scores after this run."),
    Option("offline", "flag", "Never open a network connection."),
    Option("trust-remote-code", "flag", "Run Python code that a model's checkpoint brings along."),
)
