"""The settings that an audit without pytest takes: those of audits under pytest, by the same names."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypedDict

from pytest_kdmem.errors import SpecError
from pytest_kdmem.errors.harmless import quoted
from pytest_kdmem.specs.checks import local_file, require, truth
from pytest_kdmem.specs.declared import DType, Model, TrainingSet
from pytest_kdmem.specs.gates import FURTHER, NAMES
from pytest_kdmem.specs.options import OPTIONS


class AuditSettings(TypedDict, total=False):
    """The settings, each with the meaning that it has under pytest."""

    prefix_tokens: int
    suffix_tokens: int
    window_tokens: int
    engine: str
    dtype: DType
    screen_dtype: str
    device: str
    batch_size: int
    no_compile: bool
    tensor_parallel: int
    executor: str
    workers: int
    cpus_per_worker: int
    confidence: float
    risk_threshold: float
    labels_from: Model | str | Path
    predictor: str | Path
    min_scored_share: float
    max_short_copies: int
    accept_provenance: str
    accept_reading: str
    canaries: str | Path
    confirm: bool
    show_text: bool
    phone_regions: str
    ner_model: str | Path
    cache_dir: str | Path
    no_cache: bool
    offline: bool
    trust_remote_code: bool


TAKEN = tuple(AuditSettings.__annotations__)
BY_KEY = {option.key: option for option in OPTIONS}
# Settings that say what predicted risk is learned from and how it is cut, and do nothing without it.
OF_RISK = ("risk_threshold", "labels_from", "predictor")
FLAG = re.compile(r"--kdmem-([a-z]+(?:-[a-z]+)*)(?:=([^\s;,]*[^\s;,.]))?")


def setting_values(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value of every setting by key: those that are given, and the defaults of all others.

    Raises:
        SpecError: There is no such setting, or its value is of another kind or outside its range.
    """
    for key, value in given.items():
        if key not in TAKEN:
            raise SpecError(_way_out(key))
        _check(key, value)
    return {option.key: option.default for option in OPTIONS} | dict(given)


def in_python(text: str) -> str:
    """Return a sentence in which settings are written as arguments, and not as options of pytest."""
    return FLAG.sub(_argument, text)


def _argument(flag: re.Match[str]) -> str:
    key, value = flag[1].replace("-", "_"), flag[2]
    if value is None:
        return f"{key}=…"
    is_number = BY_KEY[key].kind in ("count", "number") if key in BY_KEY else False
    return f"{key}={value}" if is_number else f'{key}="{value}"'


def _check(key: str, value: Any) -> None:
    option = BY_KEY[key]
    if option.kind in ("flag", "truth"):
        require(key, value, truth)
    elif option.kind == "path" and not isinstance(value, Model):
        require(key, value, local_file)
        require(key, os.fspath(value), option.check)
    elif option.kind != "path":
        require(key, value, option.check)


def _way_out(key: str) -> str:
    """Return where a setting belongs that this function does not take."""
    expected = f"A setting of an audit was expected; found {quoted(key)}"
    if key in (*NAMES, *FURTHER):
        return f"{expected}, which is a gate: write gates={{'{key}': …}}."
    if key in TrainingSet.__dataclass_fields__:
        return f"{expected}, which says how a set is read: write training_set=TrainingSet(…, {key}=…)."
    if key == "report":
        return f"{expected}: write audit(…).save(path)."
    near = get_close_matches(key, TAKEN, 1)
    return f"{expected}: {f'write {near[0]}' if near else 'the settings are ' + ', '.join(TAKEN)}."
