"""Of an adapter, and without PEFT, no adapter is trained."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_kdmem.distill.adaptable import check_can_adapt
from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Model


def test_an_adapter_and_a_missing_package_are_refused(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = open_checkpoint(Model(str(tiny)))
    with pytest.raises(SpecError, match="is an adapter itself"):
        check_can_adapt(replace(whole, base=whole))
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(SpecError, match=r"pip install 'pytest-kdmem\[peft\]'"):
        check_can_adapt(whole)
