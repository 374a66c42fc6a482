"""A manifest says what was registered, and one that was changed is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_kdmem.canaries.manifest import MANIFEST, Canary, Manifest, write_manifest
from pytest_kdmem.errors import DataError

REGISTERED = Manifest(
    "tokenizer", 2, 2, 7, 50, (Canary((1, 2, 3, 4), "ba ce", "di fo", 4), Canary((4, 3, 2, 1), "fo di", "ce ba", 0))
)


def test_a_manifest_is_read_as_it_was_written_by_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "canaries.json"
    write_manifest(REGISTERED, path)
    assert MANIFEST.read(path) == REGISTERED
    assert path.stat().st_mode & 0o077 == 0
    assert REGISTERED.canaries[0].text == "ba ce di fo"
    assert ([each.copies for each in REGISTERED.planted], len(REGISTERED.twins), REGISTERED.tiers) == ([4], 1, (4,))


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": 8},
        {"alphabet": 51},
        {"tokenizer": "another"},
        {"canaries": REGISTERED.canaries[::-1]},
        {"canaries": (replace(REGISTERED.canaries[0], copies=5), REGISTERED.canaries[1])},
    ],
)
def test_the_digest_is_of_all_of_it(changed: dict[str, object]) -> None:
    assert replace(REGISTERED, **changed).digest != REGISTERED.digest


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content["canaries"][0].update(copies=1),
        lambda content: content["canaries"].pop(),
        lambda content: content.pop("digest"),
        lambda content: content.update(seed="7"),
    ],
    ids=["copies", "fewer", "no digest", "another kind"],
)
def test_one_that_was_changed_is_refused_without_its_text(tmp_path: Path, change) -> None:
    path = tmp_path / "canaries.json"
    write_manifest(REGISTERED, path)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(DataError) as error:
        MANIFEST.read(path)
    assert "ba ce" not in str(error.value)
    assert "di fo" not in str(error.value)


def test_one_without_twins_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "canaries.json"
    write_manifest(replace(REGISTERED, canaries=REGISTERED.canaries[:1]), path)
    with pytest.raises(DataError, match="manifest of canaries"):
        MANIFEST.read(path)
