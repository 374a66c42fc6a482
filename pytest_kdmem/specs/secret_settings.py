"""The classes of secrets that recited text is searched for, and the settings of the search.

PYTEST_DONT_REWRITE: every run of pytest loads this module, and it has no assert.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any

from pytest_kdmem.specs.checks import require, source
from pytest_kdmem.specs.other_readings import split_names

# In the order of the reports.
SECRET_CLASSES = ("email", "phone", "card", "key", "name", "address")


def phone_regions(value: Any) -> str:
    """Regions by two letters, separated by commas, or ``none``."""
    names = split_names(str(value))
    is_right = value == "none" or (names and all(re.fullmatch("[A-Z]{2}", name) for name in names))
    return "" if is_right else "regions by two capital letters, separated by commas (US,GB), or none"


@dataclass(frozen=True)
class SecretSettings:
    """How recited text is searched for secrets.

    Args:
        phone_regions: Regions whose national phone numbers are looked for (``US,GB``), or ``none``; international
            numbers always are.
        ner_model: Folder or hub id of a token classification model that finds names and addresses; None looks for
            neither.

    Raises:
        SpecError: An argument is of the wrong kind.
    """

    phone_regions: str = "US"
    ner_model: str | None = None

    def __post_init__(self) -> None:
        require("phone-regions", self.phone_regions, phone_regions)
        if self.ner_model is not None:
            require("ner-model", self.ner_model, source)
            object.__setattr__(self, "ner_model", os.fspath(self.ner_model))

    @property
    def regions(self) -> tuple[str, ...]:
        """The regions, without copies."""
        return () if self.phone_regions == "none" else tuple(dict.fromkeys(split_names(self.phone_regions)))
