"""What lies in a score store, for tests that compare stores."""

from __future__ import annotations

import hashlib
from pathlib import Path


def digests_by_file(root: Path) -> dict[str, str]:
    """The digest of every stored file, by its path below the store."""
    files = sorted(path for path in root.rglob("*") if path.suffix in (".parquet", ".json"))
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
