"""`kdmem study`: what it refuses; the studies themselves are tested with their package."""

from __future__ import annotations

from pathlib import Path

import pytest


def test_a_configuration_that_does_not_exist_is_one_sentence(kdmem):
    done = kdmem("study", "nowhere.toml", "--out", "study")
    assert done.code == 2
    assert "nowhere.toml" in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert not Path("study").exists()


@pytest.mark.parametrize("option", ["--out", "--only", "--data"])
def test_every_option_needs_a_value(kdmem, option):
    assert kdmem("study", "study.toml", option).code == 2
