"""Scores the models of one audit as its run says, whole or in the part that this run is to score, and confirms them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

from pytest_kdmem.base.progress import Progress
from pytest_kdmem.base.text import count
from pytest_kdmem.corpus.strata_of import strata_of
from pytest_kdmem.engines.numerics import numerics_of_run
from pytest_kdmem.engines.protocol import Metrics
from pytest_kdmem.errors import DryRun, PartScored, SpecError
from pytest_kdmem.scoring.confirm import confirm
from pytest_kdmem.scoring.confirmation import Confirmation
from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import ScoreTable
from pytest_kdmem.specs.checkpoint import Checkpoint, open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.other_readings import READINGS
from pytest_kdmem.specs.runtime import RunSettings


@dataclass(frozen=True)
class Scorer:
    """Scores models with the lengths, the settings and the store of one audit.

    Attributes:
        extraction: Lengths in tokens.
        run: How models are run.
        store: Where scores are kept.
        progress: Shows the progress of scoring.
        forecasts: In a dry run, what each run of a model would take.
        references: Models without a role that calibrate others. They were not trained on what they are asked about, so
            how likely they find a reading of it shows nothing, and is only noted.
    """

    extraction: Extraction
    run: RunSettings
    store: ScoreStore
    progress: Progress
    forecasts: list[Any] = field(default_factory=list)
    references: set[Model] = field(default_factory=set)
    _scored_parts: set[tuple[Model, str, TrainingSet, Metrics]] = field(default_factory=set)

    def open(self, model: Model) -> Checkpoint:
        """Open a model's files as they are now: its folder may hold another model since it was last asked for."""
        return open_checkpoint(model, offline=self.run.offline)

    def score(self, model: Model, checkpoint: Checkpoint, training_set: TrainingSet, metrics: Metrics) -> ScoreTable:
        """Score a model over a set.

        Raises:
            PartScored: Only a part is scored in this run.
            KdmemError: The model cannot be scored.
        """
        return score(
            model,
            training_set,
            self.extraction,
            self.store,
            checkpoint=checkpoint,
            settings=self._settings_of(model),
            metrics=metrics,
            progress=self.progress,
        )

    def _settings_of(self, model: Model) -> RunSettings:
        if model not in self.references:
            return self.run
        accepted = dict.fromkeys((*self.run.accepted_readings, *READINGS))
        return replace(self.run, accept_reading=",".join(accepted))

    def score_strata(self, scores: ScoreTable, metrics: Metrics) -> ScoreTable | None:
        """Score what strata take beyond a random sample that was scored; None if it is not stratified, or is the whole
        set.

        Raises:
            PartScored: Only a part is scored in this run.
            KdmemError: The model cannot be scored.
        """
        if scores.training_set.stratify is None or scores.record.exhaustive:
            return None
        return self.score(scores.model, scores.checkpoint, strata_of(scores.training_set), metrics)

    def score_part(self, models: Iterable[Model], training_set: TrainingSet, metrics: Metrics) -> NoReturn:
        """Score this run's part of several models: the test ends here, and it may have asked for the others next.

        Raises:
            PartScored: The part is scored.
            KdmemError: A model cannot be scored.
        """
        for model in sorted(models, key=lambda model: model.source):
            checkpoint = self.open(model)
            if (part := (model, checkpoint.digest, training_set, metrics)) not in self._scored_parts:
                with self.going_on():
                    self.score(model, checkpoint, training_set, metrics)
                if training_set.stratify is not None and training_set.sample is not None:
                    with self.going_on():
                        self.score(model, checkpoint, strata_of(training_set), metrics)
                self._scored_parts.add(part)
        if self.run.dry_run:
            raise DryRun
        raise PartScored(f"Part {self.run.part} is scored; gates are evaluated once all parts are.")

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Go on when a part is scored or a dry run is made, which ends the call, and keep the forecasts."""
        try:
            yield
        except DryRun as dry_run:
            self.forecasts.extend(dry_run.forecasts)
        except PartScored:
            pass

    def confirm(self, scores: ScoreTable) -> Confirmation:
        """Check verdicts with every installed engine.

        Raises:
            KdmemError: An engine cannot be run.
        """
        return confirm(scores, self.run, self.store, progress=self.progress)

    @property
    def warnings(self) -> list[str]:
        """What the store holds and cannot be used, in sentences."""
        if not (shards := self.store.passed_over):
            return []
        return [
            f"{count(shards)} stored shards do not name the model that they were scored by, as an earlier version wrote"
            " them: these examples were scored again"
        ]

    def has_verdict_numerics(self, scores: ScoreTable) -> bool:
        """Whether a model's verdicts alone would be computed as these scores are; engines differ by the metrics."""
        return scores.numerics == numerics_of_run(scores.model, scores.checkpoint, self.run, "verdict")


def check_same_examples(scores: ScoreTable, earlier_scores: Iterable[ScoreTable]) -> None:
    """Check that figures of two models are compared over the same examples.

    Raises:
        SpecError: An earlier model was scored over other tokens of the same set.
    """
    for earlier in earlier_scores:
        if earlier.training_set == scores.training_set and earlier.record.digest != scores.record.digest:
            raise SpecError(
                f"The same examples of {scores.training_set.source} were expected for {earlier.model.source} and"
                f" {scores.model.source}, and they differ, as their tokenizers do or the set was changed; audit"
                " models of another tokenizer in a folder with a conftest.py of its own."
            )
