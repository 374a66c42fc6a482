"""Compiled layers give what the layers as written give, and what does not compile runs as it was written."""

from __future__ import annotations

import pytest
import torch
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, Qwen3Config, Qwen3ForCausalLM

from pytest_kdmem.engines.transformers.compilation import Compilation, compile_layers
from tests.conftest import with_compiler

SHAPE = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
KINDS = {
    "neox": (GPTNeoXForCausalLM, GPTNeoXConfig, SHAPE),
    "qwen3": (Qwen3ForCausalLM, Qwen3Config, SHAPE | {"num_key_value_heads": 1, "head_dim": 8}),
}


@pytest.fixture(autouse=True)
def _forget_compiled_code():
    yield
    torch._dynamo.reset()


def toy(kind: str, **settings):
    model_class, config_class, shape = KINDS[kind]
    torch.manual_seed(0)
    return model_class(config_class(**shape, **settings)).train()


def step(model, tokens: int = 7) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Loss and gradients."""
    ids = torch.arange(2 * tokens).reshape(2, tokens) % 40
    model.zero_grad()
    torch.manual_seed(0)
    loss = model(input_ids=ids, labels=ids, use_cache=False).loss
    loss.backward()
    return loss.detach(), [weight.grad.clone() for weight in model.parameters()]


def assert_gives_the_same(model, backend: str) -> None:
    names = list(model.state_dict())
    expected = {tokens: step(model, tokens) for tokens in (7, 5)}
    lines: list[str] = []
    assert compile_layers(model, Compilation(lines.append, backend=backend)) == 2
    for tokens in (7, 5, 7):
        torch.testing.assert_close(step(model, tokens), expected[tokens])
    assert list(model.state_dict()) == names
    assert lines == []


def test_compiled_layers_give_the_same_loss_and_gradients():
    assert_gives_the_same(toy("qwen3"), "eager")


@with_compiler
@pytest.mark.slow
def test_the_compiler_gives_the_same_loss_and_gradients_and_draws_the_same_dropout():
    assert_gives_the_same(toy("neox", hidden_dropout=0.5), "inductor")


def test_what_does_not_compile_runs_as_it_was_written_and_one_line_says_so():
    compilers_called = []

    def broken(graph, inputs):
        compilers_called.append(graph)
        raise RuntimeError("no such compiler\nin two lines")

    model, lines = toy("neox"), []
    expected = step(model)
    compile_layers(model, Compilation(lines.append, backend=broken))
    for _ in range(2):
        torch.testing.assert_close(step(model), expected)
    assert len(compilers_called) == 1
    assert len(lines) == 1
    assert lines[0].startswith("runs uncompiled, because compilation failed: ")
    assert "no such compiler" in lines[0]


def test_an_error_of_the_function_itself_is_no_failed_compilation():
    def divide(numbers):
        if numbers.sum() > 0:
            raise RuntimeError("of the function")
        return numbers

    lines: list[str] = []
    compiled = Compilation(lines.append, backend="eager").compile(divide)
    with pytest.raises(RuntimeError, match="of the function"):
        compiled(torch.ones(2))
    assert lines == []
