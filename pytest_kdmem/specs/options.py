"""Defines every setting once: pytest takes it as `--kdmem-NAME`, `KDMEM_NAME` or `kdmem_name`, commands as `--NAME`.

PYTEST_DONT_REWRITE: every run of pytest loads this module, and it has no assert.
"""

from __future__ import annotations

from pytest_kdmem.specs.checks import (
    limit_of_share,
    number,
    on_this_machine,
    path_ending_in,
    places_ending_in,
    provenance_names,
    whole_number,
)
from pytest_kdmem.specs.input_options import INPUT_OPTIONS
from pytest_kdmem.specs.option import Option
from pytest_kdmem.specs.other_readings import accepted_readings
from pytest_kdmem.specs.run_options import RUN_OPTIONS
from pytest_kdmem.specs.secret_settings import phone_regions
from pytest_kdmem.specs.trackers import tracker_names

REPORT_ENDINGS = (".json", ".html", ".md", ".sarif")

OPTIONS = (
    *INPUT_OPTIONS,
    *RUN_OPTIONS,
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
        limit_of_share,
    ),
    Option(
        "max-inheritance-ratio",
        "number",
        "Highest inheritance ratio that the student may have: of the examples that the teacher memorized and the"
        " baseline did not, the share that the student memorized.",
        0.02,
        limit_of_share,
    ),
    Option(
        "min-reduction",
        "number",
        "Lowest reduction that the student may have: the baseline's memorization rate divided by the student's.",
        2.0,
        number(above=0, most=1e9),
    ),
    Option(
        "max-predicted-risk",
        "number",
        "Highest share of the training set's examples that may be at risk of being memorized.",
        0.005,
        limit_of_share,
    ),
    Option(
        "risk-threshold",
        "number",
        "Examples with at least this predicted probability of being memorized are at risk. If not given, the"
        " threshold is the one that finds 95 of 100 memorized examples.",
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
        "canaries",
        "path",
        "File of the canaries in the training set (.json), as kdmem canaries make wrote it.",
        None,
        path_ending_in(".json"),
    ),
    Option(
        "min-scored-share",
        "number",
        "Least share of the examples that must be long enough to be scored, and of a teacher set must be absent from"
        " the training set unless 300 are; an audit with fewer is refused.",
        0.5,
        number(least=0, most=1),
    ),
    Option(
        "max-short-copies",
        "count",
        "How often an example of a set may stand in it that is too short to be looked at, or that minimum_tokens leaves"
        " out and training had; if one stands there more often, gates on what models recite of the set are"
        " inconclusive.",
        3,
        whole_number(0),
    ),
    Option(
        "accept-provenance",
        "text",
        "Differences between run cards and this audit that are accepted, as ROLE:KIND, such as student:training-set,"
        " separated by commas; a kind is training-set, teacher, role, window, template or weights.",
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
        "Findings about how the training set is read that should only warn and not stop the audit: names from the"
        " error that stopped it, separated by commas. They name readings in which a model finds the text more likely"
        " than in the declared one, or noise if the text is as unlikely to a model as noise.",
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
    Option(
        "show-text",
        "flag",
        "Show in reports the text of memorized examples, which is training text, and what models generate.",
    ),
    Option(
        "phone-regions",
        "text",
        "Regions whose national phone numbers are looked for in recited text, as two-letter codes separated by commas"
        " (US,GB), or none. International numbers are always looked for.",
        "US",
        phone_regions,
    ),
    Option(
        "ner-model",
        "path",
        "Folder or hub id of a token classification model that finds names and addresses in recited text. Without"
        " one, neither is looked for.",
    ),
    Option(
        "log-to",
        "text",
        "Trackers to log the figures of each audit to as a run: tensorboard, mlflow, trackio or wandb, separated by"
        " commas. The tracker's own environment variables say where it is.",
        None,
        tracker_names,
    ),
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
        "Let pytest exit with 0 instead of 10 if no gate failed but some were skipped, left out or compared nothing."
        " The verdict is still that nothing is decided.",
    ),
    Option("cache-dir", "path", "Folder where scores are kept for later runs.", ".kdmem", on_this_machine),
    Option("no-cache", "flag", "Do not keep scores after this run."),
    Option("offline", "flag", "Never open a network connection."),
    Option("trust-remote-code", "flag", "Run Python code that a model's checkpoint brings along."),
)
