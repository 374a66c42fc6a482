"""Options that `kdmem risk` and `kdmem prefilter` share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pytest_kdmem.base.text import last_part
from pytest_kdmem.cli.first_checks import check_inputs
from pytest_kdmem.cli.options import ExampleOptions, RunOptions
from pytest_kdmem.cli.parameters import Spelling
from pytest_kdmem.cli.trained_window import Examples, with_trained_window
from pytest_kdmem.specs.checks import choice, require
from pytest_kdmem.specs.declared import Model

if TYPE_CHECKING:
    from pytest_kdmem.base.progress import Progress
    from pytest_kdmem.risk.label_source import LabelSource
    from pytest_kdmem.risk.pipeline import RiskPipeline
    from pytest_kdmem.scoring.store import ScoreStore
    from pytest_kdmem.specs.runtime import RunSettings


@dataclass(frozen=True, kw_only=True)
class PairOptions:
    """The models and the training set that risk is predicted from."""

    training_set: Annotated[str, Spelling(positional=True)]
    teacher: str
    baseline: str
    teacher_base: str | None = None
    baseline_base: str | None = None

    def opening(self) -> str:
        """Return the line that says what is opened first."""
        return f"opening {last_part(self.teacher)} and {last_part(self.baseline)}"

    def check(self, predictor: PredictorOptions, examples: Examples, run: RunOptions) -> tuple[LabelSource, Examples]:
        """Check that everything is where it is said to be.

        Returns:
            what the predictor learns from, and the examples, cut to the window of training.

        Raises:
            SpecError: A model is not there, or labels and a fitted predictor are both given.
            DataError: The training set, the labels or the predictor are not there.
        """
        label_source = predictor.label_source()
        models = [run.model(self.teacher, self.teacher_base), run.model(self.baseline, self.baseline_base)]
        training_set = examples.training_set(self.training_set)
        check_inputs(models, [training_set], offline=run.offline)
        if isinstance(label_source.labels_from, Model):
            check_inputs([label_source.labels_from], [], offline=run.offline)
        examples = with_trained_window(examples, models, offline=run.offline)
        label_source.check(training_set.lengths(examples.extraction))
        return label_source, examples

    def pipeline(
        self,
        examples: ExampleOptions,
        run: RunOptions,
        store: ScoreStore,
        settings: RunSettings,
        progress: Progress,
    ) -> RiskPipeline:
        """Return what predicts risks for the training set."""
        from pytest_kdmem.risk.pipeline import RiskPipeline

        return RiskPipeline(
            run.model(self.teacher, self.teacher_base),
            run.model(self.baseline, self.baseline_base),
            examples.training_set(self.training_set),
            examples.extraction,
            store,
            settings,
            progress=progress,
        )


@dataclass(frozen=True, kw_only=True)
class PredictorOptions:
    """What a predictor of risk learns from, or where it was saved."""

    labels_from: str | None
    predictor: Path | None
    risk_threshold: Annotated[float | None, Spelling(flag="--threshold")]
    features: Annotated[
        str, typer.Option(help="Features that the predictor uses: study (the four of the published study) or all.")
    ] = "study"

    def label_source(self) -> LabelSource:
        """Return what the predictor learns from.

        Raises:
            SpecError: Labels and a fitted predictor are both given.
        """
        from pytest_kdmem.risk.label_source import parse_label_source

        return parse_label_source(self.labels_from, self.predictor)

    def feature_names(self) -> tuple[str, ...]:
        """Return the names of the chosen features.

        Raises:
            SpecError: There is no such set of features.
        """
        from pytest_kdmem.risk.features import ALL_FEATURES, STUDY_FEATURES

        sets = {"study": STUDY_FEATURES, "all": ALL_FEATURES}
        require("--features", self.features, choice(*sets))
        return sets[self.features]
