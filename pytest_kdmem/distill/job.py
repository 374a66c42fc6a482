"""What a training is made of: opened, checked before anything is loaded, and told from others by a digest."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.corpus.sources import check_source, training_fingerprint
from pytest_kdmem.distill.recipe import Recipe
from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.checkpoint import Checkpoint, open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet

# Raised when the same inputs train other weights than before, so that no earlier model is taken for a new one.
TRAINING = 1


@dataclass(frozen=True)
class Inputs:
    """Recipe, models and data of one training.

    Args:
        init: what is trained.
        teacher: None where the recipe needs none; run in ``teacher_dtype``.
        data, held_out: fingerprints, or where only streaming would tell, what was asked for; None if nothing is.
        fingerprint: of the data alone; None where only streaming would tell.
    """

    recipe: Recipe
    extraction: Extraction
    init: Checkpoint
    teacher: Checkpoint | None
    teacher_dtype: str
    data: str
    held_out: str | None
    fingerprint: str | None

    @property
    def digest(self) -> str:
        """Everything that the result and its run card depend on."""
        parts = [self.recipe.digest, self.extraction.digest, self.data, self.init.digest, self.teacher_digest]
        return digest_of([*parts, self.held_out, *([TRAINING] if TRAINING > 1 else [])])

    @property
    def teacher_digest(self) -> str | None:
        """The teacher as it is run: its checkpoint's, and the dtype where one was asked for."""
        if self.teacher is None or self.teacher_dtype == "auto":
            return self.teacher.digest if self.teacher else None
        return digest_of([self.teacher.digest, self.teacher_dtype])


def open_inputs(
    recipe: Recipe,
    *,
    init: Model,
    teacher: Model | None,
    training_set: TrainingSet,
    held_out: TrainingSet | None,
    extraction: Extraction,
    offline: bool,
) -> Inputs:
    """Open and check them.

    Raises:
        SpecError: a model or a set cannot be read, a teacher is missing or of another tokenizer, or the window is too
            long for a model.
    """
    for data in filter(None, (training_set, held_out)):
        check_source(data)
    start = open_checkpoint(init, offline=offline)
    origin = None
    if recipe.needs_teacher:
        if teacher is None:
            raise SpecError(
                f"A teacher was expected for mode {recipe.mode}, and none was given; name one with --teacher."
            )
        origin = open_checkpoint(teacher, offline=offline)
        if origin.tokenizer_digest != start.tokenizer_digest:
            raise SpecError(
                f"Teacher {origin.folder} and student {start.folder} were expected to share a tokenizer, and their"
                " tokenizers differ; distillation compares them token by token."
            )
    for checkpoint in filter(None, (start, origin)):
        if checkpoint.positions is not None and extraction.window_tokens > checkpoint.positions:
            raise SpecError(
                f"At most {checkpoint.positions} positions were expected by {checkpoint.folder}, and window-tokens ask"
                f" for {extraction.window_tokens}; set shorter --window-tokens."
            )
    return Inputs(
        recipe,
        extraction,
        start,
        origin,
        teacher.dtype if teacher else "auto",
        _known(training_set),
        _known(held_out) if held_out else None,
        training_fingerprint(training_set),
    )


def _known(training_set: TrainingSet) -> str:
    """A set by its content, or where that is unknown, by how it was asked for."""
    asked = asdict(replace(training_set, sample=None, seed=0))
    return training_fingerprint(training_set) or digest_of(asked)
