"""A fitted predictor as a value, and as a JSON file that tells all it depends on."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_kdmem.base.arrays import Flags, Values
from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.base.files import write_text
from pytest_kdmem.base.text import count, percent
from pytest_kdmem.base.typed_json import from_json, to_json
from pytest_kdmem.base.versioned_file import VersionedFile
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.risk.calibration import Bin, bounded
from pytest_kdmem.risk.features import Features, Source, check_names
from pytest_kdmem.specs.declared import Extraction

SCHEMA_VERSION = 1
KIND = "kdmem risk predictor"
# Of the examples; more beyond what the predictor saw, and its word is no prediction.
MOST_OUTSIDE = 0.05
ROWS_AT_ONCE = 1 << 16
# Figures of the trials that a predictor tells (`protocol.Assessment`).
FIGURES = ("roc_auc", "precision", "recall", "pr_auc", "true_precision", "true_recall")


@dataclass(frozen=True, eq=False)
class Predictor:
    """Log-odds of being memorized, linear in standardised features, corrected for how negatives were sampled.

    Attributes:
        features: names of the d features.
        mean, scale: ``[d]`` of the standardisation.
        coefficients: ``[d]``, and ``intercept``: means over the refits.
        least, greatest: the risk is least + (greatest − least) · σ(log-odds).
        refits: ``[refits, 1 + d]``, intercept and coefficients of each fit to positives drawn with replacement and
            negatives drawn anew: how sure the predictor is of itself; ``refit_bounds`` ``[refits, 2]`` are least and
            greatest risk of each.
        lowest, highest: ``[d]`` of the features among all examples it was fitted to.
        recall_log_odds: ``[101]``, the log-odds that 0 %, 1 %, … 100 % of held-out positives lay below.
        examples, positives: it was fitted to.
        labels: who memorized the positives, and ``labels_digest`` of that.
        source: what the features were taken from.
        quality: figures of the trials, as `Assessment` has them: mean and deviation by name.
        reliability: risks of examples not trained on against what came of them; none in older files.
    """

    features: tuple[str, ...]
    mean: Values
    scale: Values
    coefficients: Values
    intercept: float
    least: float
    greatest: float
    refits: npt.NDArray[np.float64]
    refit_bounds: npt.NDArray[np.float64]
    lowest: Values
    highest: Values
    recall_log_odds: Values
    examples: int
    positives: int
    labels: str
    labels_digest: str
    source: Source
    quality: dict[str, tuple[float, float]]
    reliability: tuple[Bin, ...] = ()

    def log_odds(self, values: Values) -> Values:
        """Of features ``[n, d]``, ``[n]``."""
        return np.concatenate(
            [(part @ self.coefficients + self.intercept) for part in self._standardised(values)] or [np.empty(0)]
        )

    def risk(self, log_odds: Values) -> Values:
        """Probabilities of log-odds ``[n]``."""
        return bounded(log_odds, self.least, self.greatest)

    def log_odds_of(self, risk: float) -> float:
        """What `risk` makes this risk of; infinite at and beyond the least and the greatest."""
        share = (risk - self.least) / (self.greatest - self.least)
        return math.log(share / (1 - share)) if 0 < share < 1 else math.copysign(math.inf, share - 0.5)

    def refit_risks(self, values: Values) -> Iterator[npt.NDArray[np.float64]]:
        """``[rows, refits]`` for a block of rows after another: whole, they are a hundred times the features."""
        least, greatest = self.refit_bounds.T
        for part in self._standardised(values):
            yield bounded(part @ self.refits[:, 1:].T + self.refits[:, 0], least, greatest)

    def _standardised(self, values: Values) -> Iterator[Values]:
        for start in range(0, len(values), ROWS_AT_ONCE):
            yield (values[start : start + ROWS_AT_ONCE] - self.mean) / self.scale

    def recall_at(self, log_odds: float) -> float:
        """Share of what is memorized that has such log-odds or more, as far as trials on held-out examples tell."""
        marks_below = int(np.searchsorted(self.recall_log_odds, log_odds, side="left"))
        return max(0.0, 1 - marks_below / (len(self.recall_log_odds) - 1))

    def finding(self, recall: float) -> float:
        """The log-odds that this share of held-out positives had, or more."""
        # The next mark below, so that no less is found.
        return float(self.recall_log_odds[math.floor((1 - recall) * (len(self.recall_log_odds) - 1) + 1e-9)])

    def outside(self, values: Values) -> Flags:
        """Which rows of features ``[n, d]`` lie outside what it was fitted to, bool ``[n]``."""
        return np.asarray(self._beyond(values).any(axis=1), dtype=np.bool_)

    def _beyond(self, values: Values) -> Flags:
        found: Flags = (values < self.lowest) | (values > self.highest)
        return found

    def check_lengths(self, extraction: Extraction) -> None:
        """Raise SpecError unless it was fitted to the same lengths."""
        if extraction != self.source.extraction:
            raise SpecError(
                f"A predictor of lengths {_lengths(extraction)} (prefix, suffix, window) was expected, and this"
                f" one was fitted to {_lengths(self.source.extraction)}; fit it anew, or set the same lengths."
            )

    def check(self, features: Features) -> tuple[str, ...]:
        """What to warn of where it is applied to other features than it was fitted to.

        Raises:
            SpecError: the lengths differ, or more than 5 % of the examples lie outside what it saw.
        """
        other, own = features.source, self.source
        self.check_lengths(other.extraction)
        warnings = []
        outside = self._beyond(features.values)
        if rows := int(outside.any(axis=1).sum()):
            worst = int(outside.sum(axis=0).argmax())
            low, high = self.lowest[worst], self.highest[worst]
            said = (
                f"{count(rows)} of {count(len(features))} examples of {features.name} lie outside what the predictor"
                f" was fitted to (most by {self.features[worst]}, which it saw from {low:.4g} to {high:.4g})"
            )  # they count as at risk
            if rows > MOST_OUTSIDE * len(features):
                raise SpecError(f"{said}; at most {percent(MOST_OUTSIDE)} may: fit it to data of this kind.")
            warnings.append(f"{said}, and count as at risk")
        differing = [
            what for what in ("teacher", "baseline", "tokenizer") if getattr(other, what) != getattr(own, what)
        ]
        warnings += [f"the predictor was fitted with another {what}" for what in differing]
        return tuple(warnings)


def predictor_digest(predictor: Predictor) -> str:
    """Of all that it is, as its file has it."""
    return digest_of(content_of(predictor))


def write_predictor(predictor: Predictor, path: Path) -> None:
    """Write it as JSON, whole or not at all.

    Raises:
        SpecError: the path does not end in .json or cannot be written.
    """
    if path.suffix != ".json":
        raise SpecError(f"A predictor is written to a path ending in .json; found {path}.")
    content = content_of(predictor)
    text = json.dumps(content | {"checksum": digest_of(content)}, indent=1) + "\n"
    write_text(text, path, lambda reason: SpecError(f"A predictor cannot be written to {path} ({reason})."))


def read_predictor(path: Path) -> Predictor:
    """Read what `write_predictor` wrote.

    Raises:
        DataError: there is no such file, it is no predictor or of another schema, or it was changed since.
    """
    content = PREDICTOR.load(path)
    if content.pop("checksum", None) != digest_of(content):
        raise DataError(f"The predictor in {path} was changed after it was written; fit it anew.")
    return PREDICTOR.value(content, path)


def predictor_of(content: Mapping[str, Any]) -> Predictor:
    """What `content_of` gave.

    Raises:
        DataError: it is none.
    """
    return PREDICTOR.value(content)


def _decoded(entries: dict[str, Any]) -> Predictor:
    predictor = from_json(Predictor, entries)
    check_names(predictor.features)
    d, refits = len(predictor.features), len(predictor.refits)
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(("mean", "scale", "coefficients", "lowest", "highest"), (d,))
    shapes |= {"refits": (refits, 1 + d), "refit_bounds": (refits, 2), "recall_log_odds": (101,)}
    arrays = {name: getattr(predictor, name) for name in shapes}
    if any(arrays[name].shape != shape or not np.isfinite(arrays[name]).all() for name, shape in shapes.items()):
        raise ValueError("an array of another shape, or not finite")
    bounds = np.vstack([predictor.refit_bounds, [predictor.least, predictor.greatest]])
    in_order = (bounds[:, 0] >= 0) & (bounds[:, 0] < bounds[:, 1]) & (bounds[:, 1] <= 1)
    if not refits or not in_order.all() or not math.isfinite(predictor.intercept) or (predictor.scale <= 0).any():
        raise ValueError("no refit, or a figure out of its range")
    if (np.diff(predictor.recall_log_odds) < 0).any() or not predictor.labels.isprintable():
        raise ValueError("marks of recall out of order, or a name that would steer a terminal")
    means = [mean for mean, _ in predictor.quality.values()]
    if not set(FIGURES) <= set(predictor.quality) or not all(0 <= mean <= 1 for mean in means):
        raise ValueError("figures of the trials are missing or out of their range")
    return predictor


PREDICTOR = VersionedFile("A predictor", SCHEMA_VERSION, _decoded, "fit it anew with kdmem risk --save", kind=KIND)


def content_of(predictor: Predictor) -> dict[str, Any]:
    """As its file has it, but for the checksum."""
    return {**PREDICTOR.header, **to_json(predictor)}


def _lengths(extraction: Extraction) -> str:
    return f"{extraction.prefix_tokens}, {extraction.suffix_tokens}, {extraction.window_tokens}"
