"""Every role has its place in a report, and every model but the student is one to compare it with."""

from __future__ import annotations

from pytest_kdmem.specs.roles import DATA_ROLES, MODEL_ROLES, REFERENCES, ROLE_ORDER, ROLES


def test_every_model_has_a_place_in_a_report() -> None:
    assert sorted(ROLE_ORDER) == sorted(MODEL_ROLES)
    assert set(MODEL_ROLES) - set(REFERENCES) == {"student"}


def test_a_name_is_one_role() -> None:
    assert len(set(ROLES)) == len(MODEL_ROLES) + len(DATA_ROLES)
