"""Runs a study: texts, untrained models, training, scores. What is in its folder already is used."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq
from transformers import PreTrainedTokenizerFast

from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.base.files import atomic_folder
from pytest_kdmem.base.progress import NO_PROGRESS, Progress, StepProgress, status_of
from pytest_kdmem.canaries.measured import MeasuredCanaries
from pytest_kdmem.corpus.sources import fingerprint
from pytest_kdmem.distill.architectures import train_tokenizer, write_untrained
from pytest_kdmem.distill.process_group import require_single_process
from pytest_kdmem.distill.run import distill_once
from pytest_kdmem.distill.shapes import Family
from pytest_kdmem.engines.transformers.quiet import quiet
from pytest_kdmem.errors import DataError
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.risk.budget import Budget
from pytest_kdmem.risk.label_source import LabelSource
from pytest_kdmem.risk.pipeline import RiskPipeline
from pytest_kdmem.risk.prefilter import REMOVED_ROWS_FILE, prefilter
from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import ScoreTable
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Model, TrainingSet
from pytest_kdmem.specs.run_card import read_run_card
from pytest_kdmem.specs.runtime import RunSettings
from pytest_kdmem.study.answers import Answers
from pytest_kdmem.study.canaries import PlantedSet, plant
from pytest_kdmem.study.config import StudyConfig
from pytest_kdmem.study.config_file import read_config
from pytest_kdmem.study.plan import Step, plan
from pytest_kdmem.study.questions import Questioner
from pytest_kdmem.study.record import ModelRun, Study
from pytest_kdmem.study.texts import Texts, write_controls, write_share, write_texts

Report = Callable[[str], None]
# Parts for which the students' memorization is predicted.
PREDICTED_IN = ("main", "families")


def run_study(
    config: Path,
    out: Path,
    *,
    only: tuple[str, ...] = (),
    data: Path | None = None,
    report: Report,
    progress: Progress = NO_PROGRESS,
) -> Study:
    """Train and score the models of a study, or of some of its parts.

    A run that was killed resumes: texts, models and scores are found by the digests of what they depend on.

    Args:
        config: TOML file of the study.
        out: folder of its texts, models and scores.
        only: parts to run, with the models they are made of or compared with; all parts if empty.
        data: folder of the texts; the environment's KDMEM_DATA if None, and without it ``../shared/data``.
        report: called with a line for each model: its seconds of training, and whether it was there already.
        progress: shows which model of how many is trained or scored, and the examples of that.

    Raises:
        SpecError: the configuration is wrong, or has no such part, or one of several processes calls it.
        DataError: a text is missing or too short.
    """
    require_single_process("a study")
    settings = read_config(config)
    steps = plan(settings, only)
    data = data or data_folder()
    with status_of(progress, "reading the texts"):
        texts = write_texts(settings, data, out / "texts")
        asks = "questions" in (only or settings.parts)
        controls = write_controls(settings, data, out / "texts") if asks else {}
    runner = _Runner(settings, texts, controls, out, report)
    numbered = [(step, StepProgress(progress, f"{at}/{len(steps)} {step.name}")) for at, step in enumerate(steps, 1)]
    runs = tuple(run for step, shown in numbered if (run := runner.run(step, shown)) is not None)
    documents = {name: texts.datasets[name].documents for name in dict.fromkeys(run.dataset for run in runs)}
    return Study(settings.name, settings.to_json(), runs, documents)


def data_folder() -> Path:
    """The folder of the texts if none is given."""
    return Path(os.environ.get("KDMEM_DATA", Path("..") / "shared" / "data"))


@dataclass
class _Runner:
    """One run of a study: holds what its steps share, and the models made so far by step."""

    config: StudyConfig
    texts: Texts
    controls: dict[str, Path]  # by data set; of none if no questions are asked
    out: Path
    report: Report
    progress: Progress = NO_PROGRESS  # of the step that runs
    models: dict[str, Model] = field(default_factory=dict)
    teachers: dict[tuple[str, str, str | None], Model] = field(default_factory=dict)  # by part, family, data set
    tokenizers: dict[Family, PreTrainedTokenizerFast] = field(default_factory=dict)

    def run(self, step: Step, progress: Progress) -> ModelRun | None:
        """Train a step's model, or find it, and score it; a base model gives no record."""
        self.progress = progress
        with status_of(progress, step.name):
            model, seconds, reused = self._train(step)
            self.models[step.name] = model
            if step.role == "teacher":
                self.teachers[step.part, step.family, step.dataset] = model
            run = self._scored(step, model, seconds)
        self.report(f"{step.name}: {seconds:.1f} s{' (reused)' if reused else ''}")
        return run

    def _train(self, step: Step) -> tuple[Model, float, bool]:
        """The model, the seconds its training took, and whether it was there already."""
        models_dir = self.out / "models"
        existing = set(models_dir.glob("*"))
        model = distill_once(
            step.recipe,
            init=self.models[step.init] if step.init is not None else self._untrained(step),
            training_set=self._training_set(step),
            models_dir=models_dir,
            teacher=self.models[step.teacher] if step.teacher is not None else None,
            extraction=self.config.extraction,
            progress=self.progress,
        )
        folder = Path(model.source)
        card = read_run_card(folder)
        if card is None:
            raise DataError(
                f"A run card was expected in {folder}, which holds none; remove the folder to train the model again."
            )
        return model, card.seconds, folder in existing

    def _training_set(self, step: Step) -> TrainingSet:
        if step.dataset is None:
            return TrainingSet(str(self.texts.pretraining), form="blocks")
        if step.part == "canaries":
            return self._planted(step).training_set
        if step.share < 1:
            return TrainingSet(str(self._shared(step)[0]))
        if step.cleaned_by is not None:
            return TrainingSet(str(self._cleaned(step) / self.texts.datasets[step.dataset].training.name))
        return self._whole(step.dataset)

    def _whole(self, dataset: str) -> TrainingSet:
        return TrainingSet(str(self.texts.datasets[dataset].training))

    def _shared(self, step: Step) -> tuple[Path, frozenset[int]]:
        """A share of D, and the documents that it lacks."""
        assert step.dataset is not None
        return write_share(self.texts.datasets[step.dataset], step.share, self.config.seed, self.out / "shares")

    def _planted(self, step: Step) -> PlantedSet:
        """D with canaries, made of the tokens of the base model that training starts from."""
        part = self.config.canaries
        assert part is not None and step.dataset is not None and step.init is not None  # noqa: PT018
        model, canary_plan = self.models[step.init], part.plan(self.config.seed)
        return plant(self._whole(step.dataset), canary_plan, model, self.config.extraction, self.out / "canaries")

    def _cleaned(self, step: Step) -> Path:
        """The folder of D without the examples that teacher and baseline predict to be at risk; written once."""
        part = self.config.prefilter
        assert part is not None and step.dataset is not None  # noqa: PT018
        assert step.teacher is not None and step.cleaned_by is not None  # noqa: PT018
        recall = part.recall
        pipeline = self._pipeline(self.models[step.teacher], self.models[step.cleaned_by], step.dataset)
        models = [open_checkpoint(model).digest for model in (pipeline.teacher, pipeline.baseline)]
        digest = digest_of([*models, fingerprint(pipeline.training_set), recall, self.config.extraction.digest])
        folder = self.out / "cleaned" / f"{step.dataset}-{digest[:16]}"
        if not folder.is_dir():
            prefilter(pipeline, LabelSource(), folder, budget=Budget(recall=recall))
        return folder

    def _pipeline(self, teacher: Model, baseline: Model, dataset: str) -> RiskPipeline:
        store, whole = ScoreStore(self.out / "scores"), self._whole(dataset)
        return RiskPipeline(
            teacher, baseline, whole, self.config.extraction, store, RunSettings(), progress=self.progress
        )

    def _untrained(self, step: Step) -> Model:
        """Random weights and the family's tokenizer, learned from the pre-training text."""
        positions, source = self.config.extraction.window_tokens, fingerprint(self._training_set(step))
        shape = [step.shape.layers, step.shape.width, step.shape.heads]
        digest = digest_of([step.family, shape, self.config.vocabulary, positions, self.config.seed, source])
        folder = self.out / "untrained" / f"{step.family}-{step.size}-{digest[:16]}"
        if not folder.is_dir():
            tokenizer = self._tokenizer(step.family)
            with atomic_folder(folder) as partial, quiet():
                write_untrained(step.family, step.shape, tokenizer, partial, positions=positions, seed=self.config.seed)
        return Model(str(folder))

    def _tokenizer(self, family: Family) -> PreTrainedTokenizerFast:
        if family not in self.tokenizers:
            self.tokenizers[family] = train_tokenizer(family, _texts(self.texts.pretraining), self.config.vocabulary)
        return self.tokenizers[family]

    def _scored(self, step: Step, model: Model, seconds: float) -> ModelRun | None:
        if step.role == "base" or step.dataset is None:
            return None
        held_out = TrainingSet(str(self.texts.datasets[step.dataset].held_out))
        teacher = self.teachers.get((step.part, step.family, step.dataset))
        is_paired = step.role == "baseline" and step.part in PREDICTED_IN
        return ModelRun(
            part=step.part,
            family=step.family,
            dataset=step.dataset,
            role=step.role,
            size=step.size,
            seed=step.recipe.seed,
            temperature=step.recipe.temperature if step.recipe.matches_distribution else None,
            parameters=open_checkpoint(model).parameters,
            seconds=seconds,
            held_out_loss=Memorization(step.name, self._scores(model, held_out)).loss.value,
            pair=self._pipeline(teacher, model, step.dataset).score_pair()
            if teacher is not None and is_paired
            else None,
            scores=self._scores(model, self._whole(step.dataset)).rows,  # of a cleaned D, too, over all of it
            left_out=pq.read_table(self._cleaned(step) / REMOVED_ROWS_FILE) if step.cleaned_by is not None else None,
            unseen=self._shared(step)[1] if step.share < 1 else frozenset(),
            canaries=self._canaries(step, model),
            answers=self._answers(step, step.dataset, model),
        )

    def _canaries(self, step: Step, model: Model) -> MeasuredCanaries | None:
        if step.part != "canaries":
            return None
        return self._planted(step).audit(model, self.config.extraction, ScoreStore(self.out / "scores"))

    def _answers(self, step: Step, dataset: str, model: Model) -> Answers | None:
        """What a model answers to further questions, if it is asked; text that is absent has a finding of its own."""
        part = self.config.questions
        is_asked = part is not None and dataset in part.datasets and step.part in ("main", "on_policy")
        if dataset not in self.controls or not is_asked or step.init is None:
            return None
        controls = TrainingSet(str(self.controls[dataset]))
        store = ScoreStore(self.out / "scores")
        questioner = Questioner(self._whole(dataset), controls, self.config.extraction, store, self.progress)
        return questioner.ask(model, self.models[step.init])

    def _scores(self, model: Model, data: TrainingSet) -> ScoreTable:
        store = ScoreStore(self.out / "scores")
        return score(model, data, self.config.extraction, store, metrics="all", progress=self.progress)


def _texts(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)["text"]
