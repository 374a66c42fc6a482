"""Where the labels of a prediction come from: a student, a table of its scores, both models, or a fitted predictor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.risk.predictor_file import read_predictor
from pytest_kdmem.specs.declared import Extraction, Model

# Setting for labels by what teacher and baseline both recite.
BOTH = "both"


@dataclass(frozen=True)
class LabelSource:
    """What a prediction is learned from: labels, or a predictor that was fitted before.

    Attributes:
        labels_from: An earlier student, which is scored; the path of a table that `kdmem score` wrote (.parquet); or
            None for what teacher and baseline both recite.
        predictor_path: Path of a predictor that `kdmem risk --save` wrote; None to fit one to the labels.
    """

    labels_from: Model | Path | None = None
    predictor_path: Path | None = None

    def check(self, extraction: Extraction) -> None:
        """Check before any model is loaded that the files can be used.

        Raises:
            DataError: The labels or the predictor are missing or cannot be read.
            SpecError: The predictor was fitted to other lengths.
        """
        if isinstance(self.labels_from, Path) and not self.labels_from.is_file():
            raise DataError(
                f"A table of scores was expected at {self.labels_from}, and there is no such file; check the path."
            )
        if self.predictor_path is not None:
            read_predictor(self.predictor_path).check_lengths(extraction)


def parse_label_source(labels_from: str | Path | Model | None, predictor: str | Path | None) -> LabelSource:
    """Interpret the settings of labels and predictor.

    Args:
        labels_from: ``both``, the folder or hub id of a model, or a .parquet file.
        predictor: Path of a predictor file.

    Raises:
        SpecError: Labels and a predictor are both given.
    """
    if labels_from is not None and predictor is not None:
        source = labels_from.source if isinstance(labels_from, Model) else labels_from
        raise SpecError(
            f"Either labels or a fitted predictor was expected; found both ({source} and {predictor}): drop"
            " --kdmem-labels-from or --kdmem-predictor."
        )
    if isinstance(labels_from, str | Path):
        if str(labels_from) == BOTH:
            labels_from = None
        elif str(labels_from).endswith(".parquet"):
            labels_from = Path(labels_from).expanduser()
        else:
            labels_from = Model(str(labels_from))
    return LabelSource(labels_from, Path(predictor).expanduser() if predictor is not None else None)
