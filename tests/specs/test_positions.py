"""The longest sequence of a model is read from its configuration, whose part for text goes first."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.declared import Model
from pytest_kdmem.specs.positions import positions_at_a_look


@pytest.mark.parametrize(
    ("config", "positions"),
    [
        ({"max_position_embeddings": 64}, 64),
        ({"n_positions": 32}, 32),
        ({"max_position_embeddings": 64, "text_config": {"max_position_embeddings": 16}}, 16),
        ({}, None),
    ],
)
def test_the_configuration_tells_without_weights(tmp_path: Path, config: dict[str, object], positions: int) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert positions_at_a_look(Model(str(tmp_path)), offline=True) == positions


def test_what_must_be_opened_or_downloaded_is_not_known(tmp_path: Path) -> None:
    assert positions_at_a_look(Model(str(tmp_path)), offline=True) is None
    assert positions_at_a_look(Model("someone/model"), offline=False) is None


def test_no_number_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"n_positions": "many"}')
    with pytest.raises(SpecError, match="n_positions"):
        positions_at_a_look(Model(str(tmp_path)), offline=True)
