"""Which tests are audits: those that ask for a fixture of this plugin.

PYTEST_DONT_REWRITE: loaded in every run of pytest, and without an assert.
"""

from __future__ import annotations

import pytest

# A test that asks for one of these, itself or through a fixture of the user's, is an audit and stands in the report.
AUDIT_FIXTURES = (
    "_kdmem_audit",
    "memorization",
    "inheritance",
    "predicted_risk",
    "distiller",
    "thresholds",
    "accepted",
)
FIXTURES_MODULE = f"{__package__}.fixtures"
DESELECTED = pytest.StashKey[list[pytest.Item]]()


def is_audit(item: pytest.Item) -> bool:
    """Whether a test asks for a fixture of this plugin, and not for a fixture of the same name that the user wrote."""
    definitions = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    return any(
        name in definitions and definitions[name][-1].func.__module__ == FIXTURES_MODULE for name in AUDIT_FIXTURES
    )
