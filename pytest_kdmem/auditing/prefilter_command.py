"""The command that cleans an audit's training set, with all by which the audit read it and scored its models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema import ModelEntry
from pytest_kdmem.base.addresses import is_address
from pytest_kdmem.base.paths import exists, local_path
from pytest_kdmem.corpus.presets import find_preset
from pytest_kdmem.errors.harmless import is_name
from pytest_kdmem.risk.classifier import FEWEST_PER_CLASS
from pytest_kdmem.specs.locations import looks_like_hub_id
from pytest_kdmem.specs.options import OPTIONS

# Settings of a run that `kdmem prefilter` takes, too.
LENGTHS = ("prefix-tokens", "suffix-tokens", "window-tokens")
OF_RUN = (
    *(*LENGTHS, "dtype", "device", "batch-size", "screen-dtype"),
    *("teacher-base", "baseline-base", "accept-reading", "cache-dir", "offline", "trust-remote-code"),
    *("labels-from", "predictor"),
)
# Flags by the arguments of a training set; one with another argument is cleaned by no command. Blocks and samples of a
# training (form, order) hold parts of several documents, of which none can be left out.
OF_READING = {
    name: f"--{name.replace('_', '-')}"
    for name in (
        *("text_column", "split", "eos", "add_special_tokens", "tokenizer", "eos_id"),
        *("chat_columns", "chat_turns", "chat_roles", "answer_tokens", "chat_template"),
    )
} | {"dtype": "--token-dtype"}
LABELS = ("--labels-from", "--predictor")


def prefilter_command(result: AuditResult, options: Sequence[str]) -> list[str]:
    """The command that cleans the training set; empty if the report does not hold all that it takes, or it would fail.

    Args:
        result: The result of an audit.
        options: Options of the audit's command line.
    """
    teacher, baseline, data = result.models.get("teacher"), result.models.get("baseline"), result.training_set
    if data is None or teacher is None or baseline is None or teacher.revision or baseline.revision:
        return []
    if not data.reading.keys() <= OF_READING.keys() or not _is_on_this_machine(data.source):
        return []
    by_models, run_models = _of_models(teacher, baseline), [teacher, baseline]
    by_set = {OF_READING[name]: _text(value) for name, value in data.reading.items()}
    given = by_models | dict(_settings(result)) | _threshold(result) | by_set | dict(_given(options))
    names_labels = "--labels-from" in given
    if not any(flag in given for flag in LABELS) and _recites_too_little(result, "baseline"):
        student = result.models.get("student")
        if student is None or student.revision or "base" in student.declared or _recites_too_little(result, "student"):
            return []
        given["--labels-from"] = student.source
        run_models.append(student)
    # The command runs the code of all of its models or of none, and nothing is known of one that is named for labels.
    trusts = {model.declared.get("trust_remote_code", False) for model in run_models}
    if "--trust-remote-code" not in given and True in trusts:
        if len(trusts) > 1 or names_labels:
            return []
        given["--trust-remote-code"] = None
    # Reports tell a value that may be a text by its length alone, and no command can be made of it.
    if not all(is_name(value) for value in given.values() if value is not None):
        return []
    flags = [flag if value is None else f"{flag}={value}" for flag, value in given.items()]
    models = [f"--teacher={teacher.source}", f"--baseline={baseline.source}"]
    return ["kdmem", "prefilter", data.source, *models, *flags, "--out=cleaned"]


def _is_on_this_machine(source: str) -> bool:
    """Whether a source is none of an object store or of the hub, which the command does not copy."""
    is_of_hub = looks_like_hub_id(source) and not exists(local_path(source))
    return not is_address(source) and not is_of_hub and find_preset(source) is None


def _of_models(teacher: ModelEntry, baseline: ModelEntry) -> dict[str, str | None]:
    """Flags and values of the bases that are declared for adapters."""
    roles = {"teacher": teacher, "baseline": baseline}
    return {f"--{role}-base": model.declared["base"] for role, model in roles.items() if "base" in model.declared}


def _threshold(result: AuditResult) -> dict[str, str | None]:
    """The threshold that the predicted risk was compared with, if it was given and not derived."""
    requested = result.risk.comparable_on.get("risk threshold", "") if result.risk is not None else ""
    return {"--threshold": requested} if requested and not requested.startswith("recall") else {}


def _settings(result: AuditResult) -> Iterator[tuple[str, str | None]]:
    """Flags and values of lengths, and of what the configuration sets otherwise than by default."""
    for option in OPTIONS:
        value = result.settings.get(option.key)
        is_set = value is not None and value is not False and str(value) != str(option.default)
        if option.name in OF_RUN and (is_set or (option.name in LENGTHS and value is not None)):
            yield f"--{option.name}", None if option.kind == "flag" else _text(value)


def _given(options: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Flags and values that the command line of the audit has, as far as the command takes them."""
    taken = {f"--{name}" for name in OF_RUN} | {*OF_READING.values()}
    for option in options:
        flag, has_value, value = option.replace("--kdmem-", "--", 1).partition("=")
        if flag in taken:
            yield flag, value if has_value else None


def _recites_too_little(result: AuditResult, role: str) -> bool:
    """Whether a model is known to recite fewer examples than a predictor is learned from."""
    rate = result.memorization.get(role)
    return rate is not None and rate.k is not None and rate.k + rate.ambiguous < FEWEST_PER_CLASS


def _text(value: object) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
