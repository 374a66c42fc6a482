"""Write predictors as JSON files with a checksum, and read them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.base.files import write_text
from pytest_kdmem.base.typed_json import from_json, to_json
from pytest_kdmem.base.versioned_file import VersionedFile
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.risk.features import check_feature_names
from pytest_kdmem.risk.predictor import Predictor
from pytest_kdmem.risk.trials import TRIAL_METRICS


def predictor_digest(predictor: Predictor) -> str:
    """Return the digest of everything that the file of a predictor holds; it is the file's checksum."""
    return digest_of(predictor_to_json(predictor))


def write_predictor(predictor: Predictor, path: Path) -> None:
    """Write a predictor as JSON, whole or not at all.

    Raises:
        SpecError: The path does not end in .json or cannot be written.
    """
    if path.suffix != ".json":
        raise SpecError(f"A predictor is written to a path ending in .json; found {path}.")
    content = predictor_to_json(predictor)
    text = json.dumps(content | {"checksum": digest_of(content)}, indent=1) + "\n"
    write_text(text, path, lambda reason: SpecError(f"A predictor cannot be written to {path} ({reason})."))


def read_predictor(path: Path) -> Predictor:
    """Read what `write_predictor` wrote.

    Raises:
        DataError: There is no such file, it is no predictor or of another schema, or it was changed after it was
            written.
    """
    content = PREDICTOR_FILE.load(path)
    if content.pop("checksum", None) != digest_of(content):
        raise DataError(f"The predictor in {path} was changed after it was written; fit it anew.")
    return PREDICTOR_FILE.value(content, path)


def predictor_to_json(predictor: Predictor) -> dict[str, Any]:
    """Return the content of a predictor's file, except the checksum."""
    return {**PREDICTOR_FILE.header, **to_json(predictor)}


def predictor_from_json(content: object) -> Predictor:
    """Return the predictor that `predictor_to_json` was given.

    Raises:
        DataError: The content is not that of a predictor.
    """
    return PREDICTOR_FILE.value(content)


def _decode(entries: dict[str, Any]) -> Predictor:
    predictor = from_json(Predictor, entries)
    check_feature_names(predictor.features)
    _check_arrays(predictor)
    bounds = np.vstack([predictor.refit_bounds, [predictor.least, predictor.greatest]])
    in_order = (bounds[:, 0] >= 0) & (bounds[:, 0] < bounds[:, 1]) & (bounds[:, 1] <= 1)
    if not in_order.all() or not math.isfinite(predictor.intercept) or (predictor.scale <= 0).any():
        raise ValueError("a value out of its range")
    if (np.diff(predictor.recall_log_odds) < 0).any():
        raise ValueError("recall_log_odds that are not in ascending order")
    if not predictor.labels.isprintable():
        raise ValueError("a name of labels that would steer a terminal")
    means = [mean for mean, _ in predictor.quality.values()]
    if not set(TRIAL_METRICS) <= set(predictor.quality) or not all(0 <= mean <= 1 for mean in means):
        raise ValueError("metrics of the trials that are missing or out of their range")
    return predictor


def _check_arrays(predictor: Predictor) -> None:
    """Raise ValueError unless there is a refit, and all arrays are finite and have the shapes of `Predictor`."""
    d, refits = len(predictor.features), len(predictor.refits)
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(("mean", "scale", "coefficients", "lowest", "highest"), (d,))
    shapes |= {"refits": (refits, 1 + d), "refit_bounds": (refits, 2), "recall_log_odds": (101,)}
    for name, shape in shapes.items():
        array = getattr(predictor, name)
        if array.shape != shape or not np.isfinite(array).all():
            raise ValueError(f"{name} of another shape, or not finite")
    if not refits:
        raise ValueError("no refit")


PREDICTOR_FILE = VersionedFile(
    "A predictor", 1, _decode, "fit it anew with kdmem risk --save", kind="kdmem risk predictor"
)
