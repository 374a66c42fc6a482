"""What one run of pytest holds of its audits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_kdmem.audit.audit import Audit

AUDITS = pytest.StashKey[dict[str, "Audit"]]()  # by name
