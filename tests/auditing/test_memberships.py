"""What may be asked of membership."""

from __future__ import annotations

import pytest

from pytest_kdmem.auditing.memberships import MeasuredMembership, MembershipRequest
from pytest_kdmem.corpus.blind_classifier import BlindTest
from pytest_kdmem.errors import SpecError
from pytest_kdmem.metrics.membership import Membership
from pytest_kdmem.specs.declared import Model, TrainingSet

ASKED = (Model("student"), TrainingSet("train.jsonl"), TrainingSet("control.jsonl"))


def test_a_request_names_a_known_attack_and_a_reference_where_one_is_needed() -> None:
    with pytest.raises(SpecError, match="one of loss, zlib"):
        MembershipRequest(*ASKED, "shadow")  # type: ignore[arg-type]
    with pytest.raises(SpecError, match=r"pass reference=Model"):
        MembershipRequest(*ASKED, "calibrated")
    with pytest.raises(SpecError, match="calibrates nothing: drop it"):
        MembershipRequest(*ASKED, "loss", Model("base"))
    assert MembershipRequest(*ASKED, None, Model("base")).models == (Model("student"), Model("base"))


def test_what_is_left_out_is_told() -> None:
    membership = Membership("student", {}, 0.95, "", "", 1_200, {"zlib": "there is no text"}, 3)
    assert MeasuredMembership(membership, BlindTest(0.5, 0.5, 100)).warnings == [
        "membership of student: no attack by loss per zlib byte: there is no text",
        "membership of student: 1 200 examples of both training set and control set were left out",
        "membership of student: 3 controls that are near-duplicates of text in the training set were left out, and this"
        " text with them",
    ]
