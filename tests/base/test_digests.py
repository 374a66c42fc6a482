"""Digests depend on content alone."""

from __future__ import annotations

import hashlib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pytest_kdmem.base.digests import digest_of, file_digest


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.none(), max_size=5))
def test_a_digest_does_not_depend_on_the_order_of_keys(content: dict[str, object]) -> None:
    assert digest_of(dict(reversed(content.items()))) == digest_of(content)


def test_a_digest_stays_the_same_over_versions() -> None:
    assert digest_of({"a": [1, 2.5, None, "ü"]}) == hashlib.sha256(b'{"a": [1, 2.5, null, "\\u00fc"]}').hexdigest()[:32]
    assert digest_of([1]) != digest_of([1.0])


def test_the_digest_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    content = bytes(range(256)) * 9000
    (tmp_path / "a").write_bytes(content)
    assert file_digest(tmp_path / "a") == hashlib.sha256(content).hexdigest()
    (tmp_path / "a").write_bytes(content[:-1] + b"x")
    assert file_digest(tmp_path / "a") == hashlib.sha256(content[:-1] + b"x").hexdigest()
