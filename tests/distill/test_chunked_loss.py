"""Head and loss in chunks, inside a real model's own forward pass: loss and every gradient against the reference."""

from __future__ import annotations

import pytest
import torch

from pytest_kdmem.distill import chunked_loss
from pytest_kdmem.distill.batches import Collator, predicted_mask
from pytest_kdmem.distill.loss_forward import CROSS_ENTROPY, forward_returns_loss
from pytest_kdmem.distill.losses import Objective
from pytest_kdmem.distill.teachers import LiveTeacher, StoredOutputs
from pytest_kdmem.engines.transformers.compilation import Compilation, compile_layers
from tests.conftest import with_compiler
from tests.distill.reference_loss import IGNORED, assert_gradients_agree, reference_step

HEADS = ["neox", "qwen3", "cohere", "gemma2", "gptj"]


def half_precision() -> torch.autocast:
    """Autocast; `step` looks at the head in inference mode, and torch 2.6 would use what was cast there again."""
    return torch.autocast("cpu", torch.bfloat16, cache_enabled=False)


def step(model, teacher, rows, objective, *, packing=False, outputs=None, compilation=None):
    """Loss per predicted token, and the gradients of the model."""
    batch = Collator(packing)([{"input_ids": row} for row in rows])
    predicted = predicted_mask(batch["labels"])
    if teacher is not None:
        live_teacher = LiveTeacher(teacher, objective.temperature)
        if compilation is not None:
            compile_layers(teacher, compilation)
        outputs = live_teacher.outputs(batch["input_ids"], batch.get("position_ids"), predicted)
    model.zero_grad()
    with forward_returns_loss(model.eval(), objective, compilation=compilation):
        model.train()
        loss = model(**batch, teacher=outputs) / predicted.sum().clamp(min=1)
        loss.backward()
    gradients = {name: weight.grad for name, weight in model.named_parameters()}
    return loss.item(), {name: None if gradient is None else gradient.clone() for name, gradient in gradients.items()}


def assert_agrees_with_reference(model, teacher, rows, objective, **packing):
    loss, gradients = step(model, teacher, rows, objective, **packing)
    expected_loss, expected_gradients = reference_step(model, teacher, rows, objective)
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    assert_gradients_agree(gradients, expected_gradients)


OBJECTIVES = [
    *[
        Objective("forward", temperature, cross_entropy_weight=share, vocabulary=61)
        for temperature, share in [(0.5, 0.0), (1.0, 0.3), (2.0, 0.0), (4.0, 0.5), (2.0, 1.0)]
    ],
    *[
        Objective("reverse", temperature, cross_entropy_weight=share, vocabulary=61)
        for temperature, share in [(0.5, 0.5), (1.0, 0.0), (2.0, 0.3), (4.0, 0.0)]
    ],
    *[
        Objective("jsd", temperature, jsd_weight=weight, cross_entropy_weight=share, vocabulary=61)
        for temperature, weight, share in [(0.5, 0.1, 0.0), (1.0, 0.5, 0.5), (2.0, 0.5, 0.0), (4.0, 0.9, 0.3)]
    ],
    Objective(vocabulary=61),
]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=str)
def test_every_objective_agrees_with_the_reference(toy, unequal_rows, objective):
    assert_agrees_with_reference(toy("neox", seed=1), toy("neox", seed=2), unequal_rows, objective)


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize(
    "objective",
    [Objective("forward", 2.0, cross_entropy_weight=0.3, vocabulary=61), Objective("reverse", 2.0, vocabulary=61)],
    ids=str,
)
def test_every_kind_of_head_agrees_with_the_reference(toy, unequal_rows, kind, objective):
    assert_agrees_with_reference(toy(kind, seed=1), toy(kind, seed=2), unequal_rows, objective)


@pytest.mark.parametrize("kind", ["neox", "gemma2", "gptj"])
@pytest.mark.parametrize(("chunk", "block"), [(1, 1), (7, 3), (1000, 3), (1000, 1000)])
def test_the_size_of_chunks_and_blocks_changes_nothing(toy, unequal_rows, kind, chunk, block, monkeypatch):
    monkeypatch.setattr(chunked_loss, "CHUNK_BYTES", {"cpu": 4 * 61 * chunk})
    monkeypatch.setattr(chunked_loss, "BLOCK_BYTES", {"cpu": 4 * 61 * block})
    assert chunked_loss.chunk_positions(61, torch.device("cpu")) == chunk
    assert chunked_loss.block_positions(61, torch.device("cpu"), chunk) == block
    objective = Objective("jsd", 2.0, cross_entropy_weight=0.3, vocabulary=61)
    assert_agrees_with_reference(toy(kind, seed=1), toy(kind, seed=2), unequal_rows, objective)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("kind", ["neox", "olmo2", "qwen3", "cohere", "gemma2", "gptj", "gpt2"])
def test_packed_rows_do_not_see_each_other(toy, unequal_rows, kind, attention):
    """Rows that share a line give what each gives alone, to student and teacher."""
    if attention == "sdpa" and not toy(kind, seed=1)._supports_sdpa:
        pytest.skip("this transformers has no such attention")
    packed = Collator(True)([{"input_ids": row} for row in unequal_rows])
    assert len(packed["input_ids"]) < len(unequal_rows)
    objective = Objective("forward", 2.0, cross_entropy_weight=0.3, vocabulary=61)
    model = toy(kind, seed=1, attn_implementation=attention)
    assert_agrees_with_reference(model, toy(kind, seed=2), unequal_rows, objective, packing=True)


@pytest.mark.parametrize(
    "objective", [Objective("forward", 2.0, vocabulary=61), Objective("jsd", 2.0, vocabulary=61)], ids=str
)
@pytest.mark.parametrize(("student_rows", "teacher_rows"), [(64, 80), (80, 64), (61, 64), (64, 61)])
def test_padding_rows_of_the_head_learn_nothing_from_the_teacher(
    toy, unequal_rows, objective, student_rows, teacher_rows
):
    student, teacher = toy("neox", seed=1, vocabulary=student_rows), toy("neox", seed=2, vocabulary=teacher_rows)
    with torch.no_grad():  # padding so probable that its influence would show
        for model in (student, teacher):
            model.get_output_embeddings().weight[61:] = model.get_output_embeddings().weight[:1] * 4
    assert_agrees_with_reference(student, teacher, unequal_rows, objective)
    assert student.get_output_embeddings().weight.grad[61:].eq(0).all()
    assert student.get_output_embeddings().weight.grad[:61].ne(0).any()


def test_cross_entropy_keeps_padding_rows_improbable(toy, unequal_rows):
    student, teacher = toy("neox", seed=1, vocabulary=64), toy("neox", seed=2, vocabulary=80)
    objective = Objective("forward", 2.0, cross_entropy_weight=0.5, vocabulary=61)
    assert_agrees_with_reference(student, teacher, unequal_rows, objective)
    assert student.get_output_embeddings().weight.grad[61:].ne(0).any(dim=1).all()


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("divergence", ["forward", "reverse"])
def test_a_student_equal_to_its_teacher_has_exactly_no_loss(toy, unequal_rows, kind, divergence):
    for context in (torch.autocast("cpu", enabled=False), half_precision()):
        model = toy(kind, seed=1)
        with context:
            loss, gradients = step(model, toy(kind, seed=1), unequal_rows, Objective(divergence, 2.0, vocabulary=61))
        assert loss == 0.0
        assert all(gradient.eq(0).all() for gradient in gradients.values())


def test_a_loss_under_autocast_is_small_near_the_teacher_and_not_negative(toy, unequal_rows):
    for seed in range(10):
        student, teacher = toy("qwen3", seed=seed), toy("qwen3", seed=seed)
        with torch.no_grad():
            for weight in student.parameters():
                weight += 1e-3 * torch.randn_like(weight)
        with half_precision():
            loss, gradients = step(student, teacher, unequal_rows, Objective("forward", 2.0, vocabulary=61))
        assert 0 <= loss < 1e-2
        assert all(gradient.isfinite().all() for gradient in gradients.values())


def test_gradients_under_autocast_are_those_of_float32_but_for_rounding(toy, unequal_rows):
    student, teacher = toy("gptj", seed=1), toy("gptj", seed=2)
    objective = Objective("forward", 2.0, cross_entropy_weight=0.3, vocabulary=61)
    with half_precision():
        loss, gradients = step(student, teacher, unequal_rows, objective)
    expected_loss, expected_gradients = reference_step(student, teacher, unequal_rows, objective)
    assert loss == pytest.approx(expected_loss, rel=3e-2)
    head_names = [name for name in gradients if name.startswith("lm_head")]
    assert len(head_names) == 2
    for name in head_names:
        assert gradients[name].dtype == torch.float32
        cosine = torch.nn.functional.cosine_similarity(
            gradients[name].double().flatten(), expected_gradients[name].flatten(), dim=0
        )
        assert cosine > 0.995


@pytest.mark.parametrize("divergence", ["forward", "reverse", "jsd", None])
def test_a_batch_that_predicts_nothing_gives_zero_and_no_nan(toy, divergence):
    """The empty rows that fill up the last step can make up a whole pass."""
    objective = Objective(divergence, 2.0, vocabulary=61)
    teacher = toy("neox", seed=2) if divergence else None
    for rows in ([[], []], [[5], [7]]):
        loss, gradients = step(toy("neox", seed=1), teacher, rows, objective)
        assert loss == 0
        assert all(gradient.eq(0).all() for gradient in gradients.values())


def test_the_first_token_is_no_target_and_the_last_position_predicts_nothing(toy):
    student, teacher = toy("neox", seed=1), toy("neox", seed=2)
    objective = Objective("forward", 2.0, cross_entropy_weight=0.5, vocabulary=61)
    row = [5, 6, 7, 8]
    batch = Collator()([{"input_ids": row}])
    assert batch["labels"].tolist() == [[IGNORED, 6, 7, 8]]
    assert int(predicted_mask(batch["labels"]).sum()) == 3
    # The model is causal, so the sum grows by one term with each token.
    losses = [step(student, teacher, [row[:tokens]], objective)[0] * (tokens - 1) for tokens in (2, 3, 4)]
    for tokens, loss in zip((2, 3, 4), losses, strict=True):
        expected, _ = reference_step(student, teacher, [row[:tokens]], objective)
        assert loss == pytest.approx(expected * (tokens - 1), rel=1e-5)
    assert losses[0] < losses[1] < losses[2]


@pytest.mark.parametrize("trained", ["", "transformer", "lm_head", "lm_head.bias"])
def test_only_weights_that_are_trained_get_a_gradient(toy, unequal_rows, trained):
    """The backbone, the head, and the bias of the head alone; the empty prefix is the whole model."""
    student, teacher = toy("gptj", seed=1), toy("gptj", seed=2)
    objective = Objective("forward", 2.0, vocabulary=61)
    _, expected = step(student, teacher, unequal_rows, objective)
    for name, weight in student.named_parameters():
        weight.requires_grad_(name.startswith(trained))
    _, gradients = step(student, teacher, unequal_rows, objective)
    for name, gradient in gradients.items():
        if name.startswith(trained):
            torch.testing.assert_close(gradient, expected[name])
        else:
            assert gradient is None


def test_no_gradient_is_computed_where_gradients_are_disabled(toy, monkeypatch):
    model = toy()
    ids = torch.arange(1, 9)[None]
    with forward_returns_loss(model, CROSS_ENTROPY), torch.no_grad():
        monkeypatch.setattr(torch.Tensor, "addmm_", lambda *_: pytest.fail("the head's gradient was computed"))
        assert float(model(input_ids=ids, labels=ids)) > 0


def test_padding_is_not_learned_and_the_same_id_in_the_text_is(toy):
    """Id 0 both pads rows and is a token of the text."""
    objective = Objective("forward", 2.0, vocabulary=61)
    student, teacher = toy("neox", seed=1), toy("neox", seed=2)

    def summed_loss(*rows):
        tokens = sum(len(row) - 1 for row in rows)
        return step(student, teacher, list(rows), objective)[0] * tokens

    short, long = [3, 4, 5], [6, 7, 8, 9, 10, 11, 12]
    assert summed_loss(short, long) == pytest.approx(summed_loss(short) + summed_loss(long), rel=1e-5)
    assert summed_loss([*short, 0]) > summed_loss(short)


def test_a_block_has_a_position_for_each_thread_and_elsewhere_a_chunk_is_one_block():
    torch.set_num_threads(2)
    assert chunked_loss.block_positions(2**30, torch.device("cpu"), 1) == 2
    assert chunked_loss.block_positions(2**30, torch.device("cuda"), 77) == 77


def stored_outputs(model, rows) -> StoredOutputs:
    """The eight most probable ids at each predicted position."""
    batch = Collator()([{"input_ids": row} for row in rows])
    predicted = predicted_mask(batch["labels"])
    with torch.no_grad():
        logits = model(input_ids=batch["input_ids"]).logits[:, :-1][predicted]
    top = torch.log_softmax(logits / 2.0, dim=1).topk(8, dim=1)
    return StoredOutputs(top.indices, top.values)


@pytest.mark.parametrize(
    ("kind", "teacher_kind", "backend"),
    [
        ("gemma2", "live", "eager"),
        ("gptj", "stored", "eager"),
        ("qwen3", "none", "eager"),
        pytest.param("gemma2", "live", "inductor", marks=[pytest.mark.slow, with_compiler]),
    ],
)
def test_a_compiled_model_and_loss_give_the_same(toy, unequal_rows, kind, backend, teacher_kind, monkeypatch):
    monkeypatch.setattr(chunked_loss, "CHUNK_BYTES", {"cpu": 4 * 61 * 20})  # the last of the chunks is smaller
    objective = Objective(None if teacher_kind == "none" else "forward", 2.0, cross_entropy_weight=0.3, vocabulary=61)
    results, lines = [], []
    for compilation in (None, Compilation(lines.append, backend=backend)):
        teacher = toy(kind, seed=2)
        outputs = stored_outputs(teacher, unequal_rows) if teacher_kind == "stored" else None
        live = teacher if teacher_kind == "live" else None
        results.append(step(toy(kind, seed=1), live, unequal_rows, objective, outputs=outputs, compilation=compilation))
    torch.testing.assert_close(*results)
    assert lines == []
    torch._dynamo.reset()
