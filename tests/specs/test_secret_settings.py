"""Settings of the search for secrets are checked when they are declared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.secret_settings import SecretSettings


@pytest.mark.parametrize(
    ("value", "regions"), [("US", ("US",)), ("US,GB,US", ("US", "GB")), ("none", ()), ("DE, FR", ("DE", "FR"))]
)
def test_regions_are_named_once(value: str, regions: tuple[str, ...]) -> None:
    assert SecretSettings(value).regions == regions


@pytest.mark.parametrize("value", ["", "us", "USA", "US;GB", "US,none", 1])
def test_what_names_no_region_is_refused(value: Any) -> None:
    with pytest.raises(SpecError, match="phone-regions"):
        SecretSettings(value)


def test_a_model_may_be_a_path() -> None:
    assert SecretSettings(ner_model=Path("runs/ner")).ner_model == "runs/ner"  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="ner-model"):
        SecretSettings(ner_model=3)  # type: ignore[arg-type]
