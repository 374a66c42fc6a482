"""What is trained and from what: opened, checked before anything is loaded, and identified by a digest."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.corpus.chat_source import chat_digests
from pytest_kdmem.corpus.first_row import check_first_row
from pytest_kdmem.corpus.sources import check_source, training_fingerprint
from pytest_kdmem.distill.adaptable import check_can_adapt
from pytest_kdmem.distill.recipe import Recipe
from pytest_kdmem.errors import SpecError
from pytest_kdmem.errors.harmless import named
from pytest_kdmem.errors.mistakes import Mistakes
from pytest_kdmem.specs.checkpoint import Checkpoint, open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.model_place import check_model_place
from pytest_kdmem.specs.positions import positions_at_a_look
from pytest_kdmem.specs.tokenizer_content import different_tokenizers

# What a training set need not declare.
OPTIONAL_DECLARATIONS = (
    *("tokenizer", "eos", "dtype", "eos_id", "order"),
    *("chat_columns", "chat_turns", "chat_roles", "answer_tokens", "chat_template"),
    *("group_column", "stratify", "stratum_sample"),
)
# Increase this number when the same inputs give other weights than before: models trained earlier are then not reused.
TRAINING_VERSION = 1


@dataclass(frozen=True)
class DeclaredJob:
    """A training as a user asks for it; nothing has been opened.

    Args:
        recipe: Settings that decide the result.
        init: Model that training starts from.
        training_set: Examples to train on.
        teacher: Model to learn from; None if there is none.
        held_out: Text whose loss is measured after each epoch; None measures none.
        extraction: Lengths in tokens. Examples are cut to its window; a hard student's teacher continues its prefix.
    """

    recipe: Recipe
    init: Model
    training_set: TrainingSet
    teacher: Model | None
    held_out: TrainingSet | None
    extraction: Extraction


@dataclass(frozen=True)
class OpenedModel:
    """A model and its checkpoint on disk."""

    declared: Model
    checkpoint: Checkpoint


@dataclass(frozen=True)
class OpenedData:
    """A training set and the fingerprint of its content; None if only streaming could tell the content."""

    declared: TrainingSet
    fingerprint: str | None

    @property
    def digest(self) -> str:
        """The fingerprint, or if there is none, a digest of the declaration."""
        special = self.declared.add_special_tokens or False
        whole = replace(self.declared, sample=None, seed=0, add_special_tokens=special)
        declared = asdict(replace(whole, stratify=None, stratum_sample=None, group_column=None))
        # What is not declared adds nothing, so that trainings from before these settings existed are taken up again.
        undeclared = {name for name in OPTIONAL_DECLARATIONS if declared[name] is None}
        return self.fingerprint or digest_of({name: declared[name] for name in declared.keys() - undeclared})


@dataclass(frozen=True)
class TrainingJob:
    """A training whose models and data have been opened and checked.

    Args:
        recipe: Settings that decide the result.
        extraction: Lengths in tokens.
        init: Model that training starts from.
        teacher: Model to learn from; None if the recipe needs none.
        training_set: Examples to train on.
        held_out: Text whose loss is measured after each epoch, or None.
    """

    recipe: Recipe
    extraction: Extraction
    init: OpenedModel
    teacher: OpenedModel | None
    training_set: OpenedData
    held_out: OpenedData | None

    @property
    def digest(self) -> str:
        """Digest of everything that the trained model and its run card depend on."""
        models = [self.init.checkpoint.digest, self.teacher_digest]
        held_out = self.held_out.digest if self.held_out else None
        parts: list[object] = [self.recipe.digest, self.extraction.digest, self.training_set.digest, *models, held_out]
        for data in filter(None, (self.training_set, self.held_out)):
            parts += chat_digests(data.declared, self.init.checkpoint)
        return digest_of([*parts, *([TRAINING_VERSION] if TRAINING_VERSION > 1 else [])])

    @property
    def settings(self) -> dict[str, str]:
        """What the digest is made of, by names that users know, so that another training can tell what differs."""
        settings: dict[str, Any] = asdict(self.recipe) | asdict(self.extraction)
        models = {"init": self.init, "teacher": self.teacher}
        for name, model in models.items():
            settings[name] = _content(model.declared.source, model.checkpoint.digest) if model else None
        if self.teacher is not None:
            settings["teacher dtype"] = self.teacher.declared.dtype
        for name, data in {"training set": self.training_set, "held-out set": self.held_out}.items():
            settings[name] = _content(data.declared.label, data.digest) if data else None
            settings[f"{name}, template"] = (
                digest_of(chat_digests(data.declared, self.init.checkpoint)) if data else None
            )
        return {name: str(value) for name, value in settings.items()}

    @property
    def teacher_digest(self) -> str | None:
        """Digest of the teacher as it is run: of its checkpoint, and of its dtype unless that is ``auto``."""
        if self.teacher is None:
            return None
        digest, dtype = self.teacher.checkpoint.digest, self.teacher.declared.dtype
        return digest if dtype == "auto" else digest_of([digest, dtype])


def _content(source: str, digest: str) -> str:
    return f"{named(source)} ({digest[:12]})"


def open_job(declared: DeclaredJob, *, offline: bool) -> TrainingJob:
    """Open and check the models and data of a training.

    Raises:
        SpecError: A model cannot be opened, the teacher is missing or has another tokenizer, the window is too long for
            a model, or an adapter is asked for that cannot be trained.
        DataError: A training set is missing or of an unknown format.
    """
    teacher_model = check_job(declared, offline=offline)  # before the weights of a model are read and digested
    init = OpenedModel(declared.init, open_checkpoint(declared.init, offline=offline))
    if declared.recipe.lora_rank is not None:
        check_can_adapt(init.checkpoint)
    _check_trainable(init.checkpoint)
    teacher = _open_teacher(teacher_model, init.checkpoint, offline=offline) if teacher_model else None
    for opened in filter(None, (init, teacher)):
        _check_positions(opened.checkpoint.positions, str(opened.checkpoint.folder), declared.extraction)
    return TrainingJob(
        declared.recipe,
        declared.training_set.lengths(declared.extraction),
        init,
        teacher,
        OpenedData(declared.training_set, training_fingerprint(declared.training_set)),
        OpenedData(declared.held_out, training_fingerprint(declared.held_out)) if declared.held_out else None,
    )


def check_job(declared: DeclaredJob, *, offline: bool) -> Model | None:
    """Check all that a look at files tells, without reading weights, and tell every mistake at once.

    Returns:
        the teacher to learn from; None if the recipe needs none.

    Raises:
        SpecError: A model or the teacher is missing, or the window is too long for a model.
        DataError: A training set is missing, of an unknown format, or its first row cannot be read as declared.
        SeveralErrors: Several of these.
    """
    mistakes = Mistakes()
    teacher: Model | None = None
    with mistakes.collected():
        teacher = _declared_teacher(declared)
    for training_set in filter(None, (declared.training_set, declared.held_out)):
        with mistakes.collected():
            check_source(training_set)
            check_first_row(training_set)
    for model in filter(None, (declared.init, teacher)):
        with mistakes.collected():
            check_model_place(model, offline=offline)
            _check_positions(positions_at_a_look(model, offline=offline), model.source, declared.extraction)
    mistakes.raise_all()
    return teacher


def _declared_teacher(declared: DeclaredJob) -> Model | None:
    """The teacher to learn from; None if the recipe needs none."""
    if not declared.recipe.needs_teacher:
        return None
    if declared.teacher is None:
        raise SpecError(
            f"A teacher was expected for mode {declared.recipe.mode}, and none was given; name one with --teacher."
        )
    return declared.teacher


def _open_teacher(teacher: Model, init: Checkpoint, *, offline: bool) -> OpenedModel:
    checkpoint = open_checkpoint(teacher, offline=offline)
    if differing := different_tokenizers(checkpoint, init):
        raise SpecError(
            f"Teacher {checkpoint.folder} and student {init.folder} were expected to share a tokenizer, and their"
            f" tokenizers differ ({differing}); distillation compares them token by token. Choose two models of one"
            " tokenizer."
        )
    return OpenedModel(teacher, checkpoint)


def _check_trainable(init: Checkpoint) -> None:
    if init.quantization is not None:
        raise SpecError(
            f"Weights that can be trained were expected in {init.folder}, and they are quantized by"
            f" {init.quantization.method}; train the model that it was made from, and quantize it again."
        )


def _check_positions(positions: int | None, model: str, extraction: Extraction) -> None:
    if positions is not None and extraction.window_tokens > positions:
        raise SpecError(
            f"A window of at most {positions} tokens was expected, because {model} has"
            f" no more positions; window-tokens is {extraction.window_tokens}: set shorter --window-tokens."
        )
