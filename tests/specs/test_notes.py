"""What a reader must know of a model's quantization and of its adapter's base stands beside its verdicts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pytest_kdmem.specs import adapter, quantization
from pytest_kdmem.specs.adapter import Adapter
from pytest_kdmem.specs.checkpoint import Checkpoint
from pytest_kdmem.specs.notes import notes_on
from pytest_kdmem.specs.quantization import Quantization

PLAIN = Checkpoint(Path("m"), "d", "t", "t", 10, 300, 256, "float32", "GPTNeoXForCausalLM")


def test_a_plain_model_needs_no_word() -> None:
    assert notes_on(PLAIN) == ()


def test_a_quantized_adapter_has_a_note_for_each() -> None:
    method = Quantization("awq")
    quantized = replace(PLAIN, quantization=method)
    assert notes_on(quantized) == quantization.notes_on(method) != ()

    class WithAdapter(Checkpoint):
        def adapter(self) -> Adapter:
            return Adapter(Path("adapter"), "runs/base", None, {})

    over_another = WithAdapter(**vars(replace(quantized, base_source="runs/other")))
    of_the_base = adapter.notes_on_base(over_another.adapter(), "runs/other")
    assert "merged into" in of_the_base[0]
    assert notes_on(over_another) == (*quantization.notes_on(method), *of_the_base)
