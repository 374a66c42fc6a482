"""A training run → the models, rows and loss to train with."""

from __future__ import annotations

from dataclasses import dataclass

from datasets import Dataset
from transformers import PreTrainedModel, set_seed

from pytest_kdmem.corpus.tokenizer import Tokenizer, load_tokenizer
from pytest_kdmem.distill.batches import WholeSteps
from pytest_kdmem.distill.lora import add_adapter
from pytest_kdmem.distill.losses import Objective
from pytest_kdmem.distill.on_policy import SampledText
from pytest_kdmem.distill.packing import check_packing
from pytest_kdmem.distill.recipe import Precision, Recipe
from pytest_kdmem.distill.teachers import LiveTeacher
from pytest_kdmem.distill.training_rows import RowSource
from pytest_kdmem.distill.training_run import TrainingRun
from pytest_kdmem.engines.numerics import has_bfloat16_units
from pytest_kdmem.engines.transformers.loading import load_model


@dataclass(frozen=True, eq=False)
class Prepared:
    """Everything that a training needs in memory.

    Args:
        model: The model to train, float32; where an adapter is trained, with the adapter in it and all else frozen.
        objective: The loss to train it with.
        rows: The rows to train on.
        held_out: Rows whose loss is measured after each epoch, or None.
        teacher: The teacher that reads each batch beside the model; None if rows hold all that is needed of a teacher.
        sampling: How an on-policy student continues the beginnings of the rows; None of any other.
    """

    model: PreTrainedModel
    objective: Objective
    rows: Dataset
    held_out: WholeSteps | None
    teacher: LiveTeacher | None
    sampling: SampledText | None = None


def prepare(run: TrainingRun) -> Prepared:
    """Load the models and make or reuse the rows.

    Raises:
        SpecError: An adapter is asked for of layers that the model does not have.
        DataError: The training set cannot be read, or holds nothing to train on.
        EngineError: A model cannot be loaded, or does not keep packed examples apart.
    """
    job, recipe = run.job, run.job.recipe
    init = job.init
    declared = job.training_set.declared.tokenizer
    tokenizer = load_tokenizer(init.checkpoint.text_folder, declared, trust_remote_code=init.declared.trust_remote_code)
    set_seed(recipe.seed)
    run.options.progress.status(f"loading {init.declared.name}")
    model = load_model(init.declared, init.checkpoint, dtype="float32", attention=_attention(run))
    if recipe.lora_rank is not None:
        add_adapter(model, recipe)
    embedding_rows = model.config.get_text_config().vocab_size
    if job.teacher is not None:
        embedding_rows = min(embedding_rows, job.teacher.checkpoint.vocabulary)
    vocabulary = min(tokenizer.size, embedding_rows) if tokenizer else embedding_rows
    source = RowSource(run, tokenizer, embedding_rows)
    run.options.progress.status("reading the training set")
    rows = source.training_rows(vocabulary, lambda: load_teacher(run))
    if recipe.packing:
        check_packing(model)
    held_out = WholeSteps(source.examples(job.held_out, "held-out"), recipe.batch_size) if job.held_out else None
    sampling = _sampling(run, vocabulary, rows, tokenizer) if recipe.is_on_policy else None
    return Prepared(model, objective_of(recipe, vocabulary), rows, held_out, _live_teacher(run), sampling)


def _sampling(run: TrainingRun, vocabulary: int, rows: Dataset, tokenizer: Tokenizer | None) -> SampledText:
    recipe, of_answers = run.job.recipe, "prompt_tokens" in rows.column_names
    return SampledText(
        window_tokens=run.job.extraction.window_tokens,
        vocabulary=vocabulary,
        temperature=recipe.sampling_temperature,
        seed=recipe.seed,
        end=tokenizer.eos_id if of_answers and tokenizer is not None else None,
    )


def objective_of(recipe: Recipe, vocabulary: int) -> Objective:
    """The loss of a recipe over ``vocabulary`` token ids."""
    return Objective(
        divergence=recipe.divergence if recipe.matches_distribution else None,
        temperature=recipe.temperature,
        jsd_weight=recipe.jsd_weight,
        cross_entropy_weight=recipe.cross_entropy_weight if recipe.matches_distribution else 0.0,
        vocabulary=vocabulary,
    )


def load_teacher(run: TrainingRun, *, multiplies_bfloat16: bool = False) -> PreTrainedModel:
    """Load the teacher on the device of this process.

    Args:
        run: The run.
        multiplies_bfloat16: Whether this CPU may run the teacher in bfloat16. Rows that are stored for later runs are
            made in float32 on every CPU.
    """
    teacher = run.job.teacher
    assert teacher is not None
    run.options.report(f"learning from {teacher.declared.name}")
    run.options.progress.status(f"loading {teacher.declared.name}")
    default_dtype = teacher.checkpoint.dtype
    if _is_on_cpu(run):
        default_dtype = dtype_on_cpu(default_dtype, run.job.recipe.precision, multiplies_bfloat16=multiplies_bfloat16)
    return load_model(
        teacher.declared,
        teacher.checkpoint,
        dtype=default_dtype if teacher.declared.dtype == "auto" else teacher.declared.dtype,
        device=str(run.processes.device),
        attention=_attention(run),
    )


def dtype_on_cpu(stored: str, precision: Precision, *, multiplies_bfloat16: bool) -> str:
    """Dtype of a teacher's weights on a CPU, unless another one was declared.

    Float32, unless the CPU has units for bfloat16, the recipe multiplies in bfloat16 anyway, and the weights are stored
    in it, so that none of them is rounded.
    """
    fits = multiplies_bfloat16 and precision == "bfloat16" and stored == "bfloat16"
    return "bfloat16" if fits else "float32"


def _live_teacher(run: TrainingRun) -> LiveTeacher | None:
    recipe = run.job.recipe
    if not recipe.matches_distribution or recipe.teacher_top_k is not None:
        return None
    teacher = LiveTeacher(load_teacher(run, multiplies_bfloat16=has_bfloat16_units()), recipe.temperature)
    if recipe.packing:
        check_packing(teacher.model)
    return teacher


def _attention(run: TrainingRun) -> str | None:
    """Implementation of attention; None leaves the choice to transformers.

    On CPUs the backward pass of fused attention takes 40 % of a step, and plain matrix products a third less.
    """
    return "eager" if _is_on_cpu(run) else None


def _is_on_cpu(run: TrainingRun) -> bool:
    return run.processes.device.type == "cpu"
