"""What an audit declares for a role is of its kind, and each is checked before the next one is asked for."""

from __future__ import annotations

import pytest

from pytest_kdmem.auditing.opening import audit_by_settings, checked, declare
from pytest_kdmem.base.progress import NO_PROGRESS
from pytest_kdmem.errors import DataError, KdmemError, SpecError
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.options import OPTIONS

DEFAULTS = {option.key: option.default for option in OPTIONS}


def test_a_role_takes_values_of_its_kind_alone():
    assert checked("student", Model("m")) == Model("m")
    assert checked("control_set", TrainingSet("t")) == TrainingSet("t")
    with pytest.raises(SpecError, match="A Model was expected as teacher"):
        checked("teacher", TrainingSet("t"))
    with pytest.raises(SpecError, match="A TrainingSet was expected as training_set"):
        checked("training_set", "data.npy")


def test_an_audit_is_of_its_settings(tmp_path):
    values = DEFAULTS | {
        "prefix_tokens": 12,
        "suffix_tokens": 8,
        "confidence": 0.9,
        "accept_provenance": "student:role",
    }
    audit = audit_by_settings(values, "audits/a", "soft", tmp_path, NO_PROGRESS)
    assert (audit.name, audit.student, audit.extraction) == ("audits/a[soft]", "soft", Extraction(12, 8))
    assert (audit.confidence, audit.accepted_provenance, audit.confirms) == (0.9, {"student:role"}, False)
    assert audit_by_settings(DEFAULTS, "audits/a", "", tmp_path, NO_PROGRESS).name == "audits/a"


def test_a_model_that_is_trained_on_demand_is_asked_for_after_the_others_were_checked(tmp_path):
    def declared():
        yield "teacher", Model(tmp_path / "nowhere")
        raise AssertionError("The student was trained, though the teacher is not there.")

    audit = audit_by_settings(DEFAULTS, "", "", tmp_path, NO_PROGRESS)
    with pytest.raises(KdmemError, match="nowhere"):
        declare(audit, declared(), compares=True)


def test_models_of_two_tokenizers_are_declared_if_nothing_compares_them(tmp_path, cast, tiny):
    declared = [("teacher", Model(tiny)), ("student", Model(cast.student))]
    values = DEFAULTS | {"prefix_tokens": 12, "suffix_tokens": 8}
    audit = audit_by_settings(values, "", "", tmp_path, NO_PROGRESS)
    declare(audit, declared, compares=False)
    assert list(audit.roles) == ["teacher", "student"]
    with pytest.raises(SpecError, match="tokenizer"):
        declare(audit, declared, compares=True)
    with pytest.raises(DataError, match="nowhere"):
        declare(audit, [("training_set", TrainingSet(tmp_path / "nowhere.npy"))], compares=False)
