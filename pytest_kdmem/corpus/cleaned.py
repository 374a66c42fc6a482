"""Whether a training set is a cleaned copy of another one, by the manifest that `kdmem prefilter` writes beside it."""

from __future__ import annotations

import json
from contextlib import suppress

from pytest_kdmem.base.addresses import is_address
from pytest_kdmem.base.paths import local_path
from pytest_kdmem.corpus.sources import training_fingerprint
from pytest_kdmem.specs.declared import TrainingSet

KIND = "kdmem cleaned training set"
MANIFEST_FILE = "manifest.json"


def cleaned_from(training_set: TrainingSet) -> str | None:
    """Fingerprint of the training set that a source is a cleaned copy of, read in the same way as that.

    Its examples are then examples of that set. Blocks of a cleaned set are not: from the first document on that was
    left out they are cut at other places, so that a model of them saw hardly any block of the whole set.

    None if no manifest lies beside it, or if that is of other content, of another reading of it, or of an earlier
    version, which names no fingerprints.
    """
    path = local_path(training_set.source)
    if is_address(training_set.source) or not path.exists():
        return None
    with suppress(OSError, ValueError, KeyError, TypeError):
        manifest = json.loads((path.parent / MANIFEST_FILE).read_text(encoding="utf-8"))
        original, written = manifest["training_set"]["fingerprint"], manifest["written"]["fingerprint"]
        is_own = manifest["kind"] == KIND and isinstance(original, str) and isinstance(written, str)
        return original if is_own and written == training_fingerprint(training_set) else None
    return None
