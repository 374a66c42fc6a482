"""Which tests are audits: those that ask for a fixture of this plugin.

PYTEST_DONT_REWRITE: loaded in every run of pytest, and without an assert.
"""

from __future__ import annotations

import pytest

from pytest_kdmem.plugin.fixture_lookup import parameters_of, visible_definitions

# A test that asks for one of these, itself or through a fixture of the user's, is an audit and stands in the report.
AUDIT_FIXTURES = (
    "_kdmem_audit",
    "memorization",
    "near_verbatim",
    "specific_memorization",
    "inheritance",
    "membership",
    "canaries",
    "predicted_risk",
    "distiller",
    "thresholds",
    "accepted",
)
FIXTURES_MODULES = (f"{__package__}.fixtures", f"{__package__}.further_fixtures")


def is_audit(item: pytest.Item) -> bool:
    """Whether a test asks for a fixture of this plugin, and not for a user's own fixture or parameter of that name."""
    names = set(AUDIT_FIXTURES).intersection(getattr(item, "fixturenames", ()))
    return any(_is_ours(item, name) for name in names - parameters_of(item).keys())


def _is_ours(item: pytest.Item, name: str) -> bool:
    visible = visible_definitions(item, name)
    return bool(visible) and visible[-1].func.__module__ in FIXTURES_MODULES
