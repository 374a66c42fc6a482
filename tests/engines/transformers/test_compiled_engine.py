"""An engine whose layers are compiled scores as one whose layers run as they were written."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pytest_kdmem.engines.numerics import resolve_numerics
from pytest_kdmem.engines.transformers.compilation import Compilation
from pytest_kdmem.engines.transformers.engine import TransformersEngine
from pytest_kdmem.engines.transformers.pair import PairedEngine
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Model
from tests.conftest import with_compiler
from tests.engines.any_engine import EXTRACTION, engine_of, examples_of, ignore_progress, scored

ARRAYS = ("margin", "first_miss", "logprob", "nll", "entropy")


class Compiler:
    """Counts what it is given, and runs it as it is."""

    def __init__(self):
        self.calls = 0

    def __call__(self, graph, inputs):
        self.calls += 1
        return graph.forward


@pytest.fixture(autouse=True)
def _forget_compiled_code():
    yield
    torch._dynamo.reset()


@pytest.fixture
def ids() -> np.ndarray:
    return np.random.default_rng(0).integers(1, 290, (11, 64), dtype=np.int32)


def compiled_engine(folder, compilation, screen=None) -> TransformersEngine:
    model = Model(str(folder))
    checkpoint = open_checkpoint(model)
    numerics = resolve_numerics(model, checkpoint, engine="transformers", device="cpu", dtype="float32", metrics="all")
    numerics = replace(numerics, screen=screen)
    return TransformersEngine(model, checkpoint, numerics, batch_size=4, compilation=compilation)


@pytest.mark.parametrize("family", ["pythia", "qwen3"])
def test_its_scores_are_those_of_layers_as_written_in_any_batches(make_model, ids, family):
    folder, compiler, lines = make_model(family), Compiler(), []
    engine = compiled_engine(folder, Compilation(lines.append, backend=compiler))
    plain = engine_of(folder, batch_size=4)
    assert engine.tolerance == plain.tolerance
    for metrics in ("all", "verdict"):
        expected, actual = (scored(each, ids, metrics=metrics) for each in (plain, engine))
        for name in ARRAYS:
            np.testing.assert_allclose(getattr(actual, name), getattr(expected, name), atol=1e-5)
    assert 0 < compiler.calls <= 4, "one code for batches of all shapes, and one for a batch of a single row"
    calls = compiler.calls
    examples = examples_of(ids)
    for own, other in zip(engine.losses(examples), plain.losses(examples), strict=True):
        np.testing.assert_array_equal(own, other)
    assert all(map(np.array_equal, engine.decode(ids[:, :20], 5), plain.decode(ids[:, :20], 5)))
    assert (compiler.calls, lines) == (calls, [])


def test_what_does_not_compile_is_scored_as_it_was_written_and_one_line_says_so(tiny, ids):
    def broken(graph, inputs):
        raise RuntimeError("no such compiler")

    lines = []
    engine = compiled_engine(tiny, Compilation(lines.append, backend=broken))
    np.testing.assert_array_equal(scored(engine, ids).margin, scored(engine_of(tiny, batch_size=4), ids).margin)
    assert len(lines) == 1
    assert "no such compiler" in lines[0]


def test_what_decides_runs_as_it_was_written_and_what_screens_is_compiled(tiny, ids):
    compiler = Compiler()
    decider = compiled_engine(tiny, Compilation(print, backend=compiler), screen="bfloat16")
    expected = scored(engine_of(tiny, batch_size=4), ids).margin
    np.testing.assert_array_equal(scored(decider, ids).margin, expected)
    assert compiler.calls == 0
    screener = decider.over_same_weights("bfloat16")
    scored(screener, ids)
    assert (calls := compiler.calls) > 0
    np.testing.assert_array_equal(scored(decider, ids).margin, expected)
    assert compiler.calls == calls


def test_both_models_of_a_pair_are_compiled(make_model, ids):
    folders = [make_model("pythia", seed=seed) for seed in (1, 2)]
    compilers = [Compiler(), Compiler()]
    compilations = [Compilation(print, backend=compiler) for compiler in compilers]
    engines = map(compiled_engine, folders, compilations)
    plain = PairedEngine(*(engine_of(folder, batch_size=4) for folder in folders), None)
    examples = examples_of(ids)
    actual, expected = (
        each.score(examples, EXTRACTION, ignore_progress) for each in (PairedEngine(*engines, None), plain)
    )
    np.testing.assert_allclose(actual.kl, expected.kl, rtol=1e-4)
    np.testing.assert_allclose(actual.baseline.margin, expected.baseline.margin, atol=1e-5)
    assert all(compiler.calls for compiler in compilers)


@with_compiler
@pytest.mark.slow
def test_the_compiler_of_torch_gives_the_same_scores(tiny, ids):
    lines = []
    engine = compiled_engine(tiny, Compilation(lines.append))
    for metrics in ("all", "verdict"):
        expected, actual = (scored(each, ids, metrics=metrics) for each in (engine_of(tiny, batch_size=4), engine))
        for name in ARRAYS:
            np.testing.assert_allclose(getattr(actual, name), getattr(expected, name), atol=1e-4)
    assert lines == []
