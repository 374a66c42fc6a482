"""Canaries are random, the same for the same seed, read back as their own tokens, and registered unchangeably."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pytest_kdmem.canaries.manifest import MANIFEST, write_manifest
from pytest_kdmem.errors import DataError
from tests.canaries.canary_sets import PLAN, WORDS, canaries_of, tokenizer_in


def test_canaries_are_strings_of_the_tokenizers_own_words(tmp_path: Path) -> None:
    tokenizer = tokenizer_in(tmp_path)
    manifest = canaries_of(tokenizer)
    assert manifest.tiers == (1, 4)
    assert [canary.copies for canary in manifest.canaries] == [1] * 3 + [4] * 3 + [0] * 100
    assert len({canary.text for canary in manifest.canaries}) == 106
    for canary in manifest.canaries:
        assert tokenizer.encode([canary.text], add_special_tokens=False) == [list(canary.ids)]
        assert len(canary.ids) == 16
        assert tokenizer.decode(np.array(canary.ids[8:])).strip() == canary.suffix
    assert manifest.alphabet >= 90
    drawn = {word for canary in manifest.canaries for word in canary.suffix.split()}
    assert len(drawn & set(WORDS)) > 80


def test_the_same_seed_draws_the_same_and_another_one_others(tmp_path: Path) -> None:
    tokenizer = tokenizer_in(tmp_path)
    assert canaries_of(tokenizer) == canaries_of(tokenizer)
    other = canaries_of(tokenizer, replace(PLAN, seed=1))
    assert not {canary.text for canary in other.canaries} & {canary.text for canary in canaries_of(tokenizer).canaries}


def test_a_manifest_is_private_and_refused_if_it_was_changed(tmp_path: Path) -> None:
    manifest = canaries_of(tokenizer_in(tmp_path))
    path = tmp_path / "canaries.json"
    write_manifest(manifest, path)
    assert path.stat().st_mode & 0o077 == 0
    assert MANIFEST.read(path) == manifest
    content = json.loads(path.read_text())
    content["canaries"][0]["copies"] = 2
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="digest"):
        MANIFEST.read(path)
