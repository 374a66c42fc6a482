"""What an audit and its settings declare → checked specs, and the Audit over them."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from pytest_kdmem.audit.audit import Audit
from pytest_kdmem.audit.regression.accepted import Accepted
from pytest_kdmem.audit.regression.baseline_file import read_accepted
from pytest_kdmem.audit.regression.metrics import tracked_metrics
from pytest_kdmem.corpus.overlap import check_control
from pytest_kdmem.corpus.sources import check_source
from pytest_kdmem.errors import SpecError
from pytest_kdmem.plugin.audit_scope import check_is_audit, membership_of
from pytest_kdmem.plugin.collection import is_audit
from pytest_kdmem.plugin.progress import progress_of
from pytest_kdmem.plugin.session import AUDITS
from pytest_kdmem.plugin.settings import Settings, cache_of, settings_of
from pytest_kdmem.risk.label_source import LabelSource, parse_label_source
from pytest_kdmem.scoring.score import check_positions
from pytest_kdmem.specs.checkpoint import check_same_tokenizer, open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.roles import DATA_ROLES, MODEL_ROLES
from pytest_kdmem.specs.runtime import RunSettings, part_from

# Settings that a run may put in the place of what a training set (False) or a model (True) declares.
SETTINGS_OF = {False: ("text_column", "form", "sample", "seed"), True: ("dtype", "trust_remote_code")}
# What is said of one source and not of another.
PLACED_BY = {False: ("revision", "config", "split", "documents", "minimum_tokens"), True: ("revision",)}


def overridden(declared: Model | TrainingSet, role: str, settings: Settings) -> Model | TrainingSet:
    """What an audit declared, with all that was set for this run in its place, and the rest as declared.

    What tells where in a source its documents lie goes with the source.
    """
    changed = {key: settings[key] for key in SETTINGS_OF[role in MODEL_ROLES] if settings.overrides(key)}
    if role == "control_set":
        changed.pop("sample", None)  # held-out text is read whole
    if settings.overrides(role):
        placed = PLACED_BY[role in MODEL_ROLES]
        changed |= {field.name: field.default for field in fields(declared) if field.name in placed}
        changed["source"] = settings[role]
    return replace(declared, **changed)


def spec_from_settings(role: str, settings: Settings) -> Model | TrainingSet:
    """What the settings say of a role.

    Raises:
        SpecError: they say nothing.
    """
    source = settings[role]
    if source is None:
        flag = role.replace("_", "-")
        raise SpecError(
            f"A {flag.replace('-', ' ')} was expected by this audit, and none is declared: write a fixture {role!r},"
            f" or set --kdmem-{flag} or kdmem_{role}."
        )
    if role in MODEL_ROLES:
        return Model(source, dtype=settings["dtype"], trust_remote_code=settings["trust_remote_code"] or False)
    sample = settings["sample"] if role == "training_set" else None
    return TrainingSet(
        source, text_column=settings["text_column"], form=settings["form"], sample=sample, seed=settings["seed"]
    )


def checked(role: str, value: Any) -> Any:
    """Raise SpecError unless a role, or what was passed for it, is of its kind."""
    kind = Model if role in MODEL_ROLES else TrainingSet
    if not isinstance(value, kind):
        raise SpecError(f"A {kind.__name__} was expected as {role}; found {value!r}: write {kind.__name__}(…).")
    return value


def audit_of(request: pytest.FixtureRequest) -> Audit:
    """The audit that the running test belongs to, opened with the first of its tests.

    Raises:
        KdmemError: it cannot be opened, or declares something else than when it was.
    """
    item: pytest.Item = request._pyfuncitem  # the node of a fixture of the session is no test
    check_is_audit(item)
    opened = open_audit(request, item)
    audits = request.config.stash.setdefault(AUDITS, {})
    if opened.name not in audits:
        audits[opened.name] = opened
    known = audits[opened.name]
    if (known.roles, known.training_set, known.control_set) != (opened.roles, opened.training_set, opened.control_set):
        raise SpecError(
            f"The same models and sets were expected of {opened.name or 'an audit'} throughout a session, and its"
            " fixtures gave others when they were set up again; let them return the same each time."
        )
    return known


def accepted_of(audit: Audit, config: pytest.Config) -> Accepted:
    """What was accepted of an audit.

    Raises:
        KdmemError: no file of accepted figures is named, or it cannot be read.
    """
    settings = settings_of(config)
    updating = settings["update_baseline_file"] or False
    if settings.baseline_file is None:
        raise SpecError(
            "A file of accepted figures was expected by this audit, and none is named; set kdmem_baseline_file in the"
            " configuration, or --kdmem-baseline-file."
        )
    known = () if updating else read_accepted(settings.baseline_file).of(audit.name)
    return Accepted(known, lambda: tracked_metrics(audit.found({}, ())), updating)


def extraction_of(settings: Settings) -> Extraction:
    """The lengths set for this run."""
    return Extraction(*(settings[f"{part}_tokens"] for part in ("prefix", "suffix", "window")))


def choose_label_source(
    settings: Settings, labels_from: Model | str | Path | None = None, predictor: str | Path | None = None
) -> LabelSource:
    """What risk is learned from: what was set for this run, or else what a test gives, or else the settings.

    Raises:
        SpecError: labels and a predictor come from one place.
    """
    given = labels_from is not None or predictor is not None
    if given and not settings.overrides("labels_from") and not settings.overrides("predictor"):
        return parse_label_source(labels_from, predictor)
    for chosen, other in (("labels_from", "predictor"), ("predictor", "labels_from")):
        if settings.overrides(chosen) and not settings.overrides(other):
            return parse_label_source(**{other: None, chosen: settings[chosen]})
    return parse_label_source(settings["labels_from"], settings["predictor"])


def open_audit(request: pytest.FixtureRequest, item: pytest.Item) -> Audit:
    """The audit of a test: everything that its tests declare is looked at before anything is loaded.

    Raises:
        KdmemError: something declared is missing, of another kind, or does not fit the rest.
    """
    config = request.config
    settings = settings_of(config)
    name = membership_of(item).audit
    members = [one for one in request.session.items if is_audit(one) and membership_of(one).audit == name]
    used = {fixture for one in (item, *members) for fixture in getattr(one, "fixturenames", ())}
    if "inheritance" in used:
        used |= {*MODEL_ROLES, "training_set"}
    if "memorization" in used:
        used.add("training_set")
    if "predicted_risk" in used:
        used |= {"teacher", "baseline", "training_set"}
    extraction = extraction_of(settings)
    audit = Audit(
        name=name,
        extraction=extraction,
        run=RunSettings(
            engine=settings["engine"],
            device=settings["device"],
            dtype=settings["dtype"],
            batch_size=settings["batch_size"],
            offline=settings["offline"] or False,
            tensor_parallel=settings["tensor_parallel"],
            executor=settings["executor"],
            workers=settings["workers"],
            cpus_per_worker=settings["cpus_per_worker"],
            part=part_from(settings["shard"]) if settings["shard"] else None,
        ),
        confidence=settings["confidence"],
        confirms=settings["confirm"] or False,
        cache_dir=cache_of(config),
        progress=progress_of(config),
        shows_text=settings["show_text"] or False,
    )
    tokenizers: dict[str, str] = {}
    for role in MODEL_ROLES:
        if role in used:
            model = checked(role, request.getfixturevalue(role))
            checkpoint = open_checkpoint(model, offline=audit.run.offline)
            check_positions(model, checkpoint, extraction)
            audit.roles[role] = model
            tokenizers[f"{role} ({model.source})"] = checkpoint.tokenizer_digest
    if "inheritance" in used or "predicted_risk" in used:
        check_same_tokenizer(tokenizers)
    for role in DATA_ROLES:
        if role in used:
            data = checked(role, request.getfixturevalue(role))
            check_source(data)
            setattr(audit, role, data)
    if audit.training_set is not None and audit.control_set is not None:
        check_control(audit.training_set, audit.control_set, offline=audit.run.offline)
    return audit
