"""The one-pass engine against plain decoding, float64 arithmetic, and itself with other batches."""

from __future__ import annotations

from weakref import ref

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.errors import EngineError
from tests.conftest import FAMILIES
from tests.engines.any_engine import EXTRACTION, engine_of, ignore_progress, scored


@pytest.fixture(scope="module", params=FAMILIES)
def family(request, make_model, recited_ids):
    """A model of each family, and windows of 64 ids of which every other one it recites."""
    folder = make_model(request.param)
    ids = recited_ids(folder, examples=16, prefix=20, suffix=30)
    rest = np.random.default_rng(1).integers(1, 290, (len(ids), 14))
    return folder, np.concatenate([ids, rest], axis=1)


def test_verdicts_are_those_of_plain_decoding(family):
    folder, ids = family
    assert scored(engine_of(folder), ids).memorized.tolist() == [True, False] * 8


def test_stopping_early_gives_the_same_verdicts_and_first_misses(family):
    folder, ids = family
    near = ids.copy()
    near[::4, 45] = (near[::4, 45] + 1) % 290  # miss late, beyond the first pass
    engine = engine_of(folder)
    whole, early = scored(engine, near), scored(engine, near, metrics="verdict")
    assert np.array_equal(whole.memorized, early.memorized)
    assert np.array_equal(whole.first_miss, early.first_miss)
    assert np.array_equal(whole.ambiguous, early.ambiguous)
    assert np.isnan(early.logprob).all()
    scored_whole = ~np.isnan(early.margin)
    np.testing.assert_allclose(early.margin[scored_whole], whole.margin[scored_whole], atol=1e-4)
    assert scored_whole.sum() < len(ids), "a pass that drops nothing saves nothing"


def test_every_metric_equals_float64_arithmetic_on_the_whole_logits(family):
    folder, ids = family
    scores = scored(engine_of(folder), ids)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64).eval()
    with torch.inference_mode():
        logits = model(input_ids=torch.from_numpy(ids.astype(np.int64))).logits.numpy()
    predicted, targets = logits[:, :-1], ids[:, 1:]
    logs = predicted - np.log(np.exp(predicted).sum(axis=-1, keepdims=True))
    chosen = np.take_along_axis(logs, targets[..., None], axis=-1)[..., 0]
    raw = np.take_along_axis(predicted, targets[..., None], axis=-1)[..., 0]
    others = predicted.copy()
    np.put_along_axis(others, targets[..., None], -np.inf, axis=-1)
    margins = raw - others.max(axis=-1)
    suffix = slice(20 - 1, 20 + 30 - 1)
    np.testing.assert_allclose(scores.margin, margins[:, suffix].min(axis=1), atol=2e-4)
    np.testing.assert_allclose(scores.logprob, chosen[:, suffix].sum(axis=1), rtol=1e-4)
    np.testing.assert_allclose(scores.nll, -chosen.mean(axis=1), rtol=1e-4)
    entropy = -(np.exp(logs) * logs).sum(axis=-1)[:, suffix].mean(axis=1)
    np.testing.assert_allclose(scores.entropy, entropy, rtol=1e-4)
    np.testing.assert_allclose(np.stack([*scores.windows.margins]), margins, atol=2e-4)
    assert (scores.windows.unsure_within == np.float32(scores.tolerance)).all()
    deviation = np.sqrt((np.exp(logs) * logs**2).sum(axis=-1) - (np.exp(logs) * logs).sum(axis=-1) ** 2)
    standardized = (chosen - (np.exp(logs) * logs).sum(axis=-1)) / deviation
    for name, values in (("min_k", chosen), ("min_k_plus", standardized)):
        least = np.sort(values, axis=1)[:, : int(0.2 * 63)].mean(axis=1)
        np.testing.assert_allclose(getattr(scores.windows, name), least, rtol=1e-3)
    missed = margins[:, suffix] < 0
    assert scores.first_miss.tolist() == [int(row.argmax()) if row.any() else -1 for row in missed]


def test_the_last_suffix_token_counts_and_the_token_after_it_does_not(family):
    folder, ids = family
    last, after = ids.copy(), ids.copy()
    last[:, 49] = (last[:, 49] + 1) % 290
    after[:, 50] = (after[:, 50] + 1) % 290
    engine = engine_of(folder)
    assert not scored(engine, last).memorized[::2].any()
    assert set(scored(engine, last).first_miss[::2]) == {29}
    assert scored(engine, after).memorized[::2].all()


def test_windows_of_unequal_length_do_not_change_each_other(family):
    folder, ids = family
    engine = engine_of(folder, batch_size=8)
    cut = [Example(at, row[: 50 + at % 15].astype(np.int32)) for at, row in enumerate(ids)]
    together = engine.score(cut, EXTRACTION, "all", ignore_progress)
    for at, example in enumerate(cut):
        alone = engine.score([example], EXTRACTION, "all", ignore_progress)
        np.testing.assert_allclose(alone.nll[0], together.nll[at], rtol=1e-5)
        np.testing.assert_allclose(alone.margin[0], together.margin[at], atol=1e-4)


def test_losses_of_single_tokens_are_those_of_plain_transformers_whatever_stands_in_the_batch(family):
    folder, ids = family
    rows = [row[: 2 + at % 40].astype(np.int64) for at, row in enumerate(ids)]
    losses = engine_of(folder, batch_size=8).losses([Example(at, row.astype(np.int32)) for at, row in enumerate(rows)])
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    with torch.inference_mode():
        for row, own in zip(rows, losses, strict=True):
            logits = model(torch.from_numpy(row)[None]).logits[0, :-1]
            expected = torch.nn.functional.cross_entropy(logits, torch.from_numpy(row)[1:], reduction="none")
            np.testing.assert_allclose(own, expected, atol=2e-4)


def test_tolerance_covers_what_batch_size_and_half_precision_do(family):
    folder, ids = family
    for dtype in ("float32", "bfloat16"):
        whole = engine_of(folder, dtype=dtype, batch_size=16)
        single = engine_of(folder, dtype=dtype, batch_size=1)
        change = np.abs(scored(whole, ids).margin - scored(single, ids).margin).max()
        assert change <= whole.tolerance == single.tolerance


def test_bfloat16_disagrees_with_its_own_decoding_only_within_the_band(family):
    folder, ids = family
    engine = engine_of(folder, dtype="bfloat16")
    scores = scored(engine, ids)
    decoded = engine.decode([row[:20].astype(np.int32) for row in ids], 30)
    same = np.array([np.array_equal(new, row[20:50]) for new, row in zip(decoded, ids, strict=True)])
    assert not ((same != scores.memorized) & ~scores.ambiguous).any()


def test_eos_inside_a_suffix_is_an_ordinary_token(make_model, recited_ids):
    # Swapping two ids in both embeddings renames them: what was recited with one is recited with the other.
    folder = make_model("pythia", seed=3)
    ids = recited_ids(folder, examples=12, prefix=20, suffix=30)
    renamed = int(ids[0, 25])
    weights = load_file(folder / "model.safetensors")
    for name in ("gpt_neox.embed_in.weight", "embed_out.weight"):
        weights[name][[0, renamed]] = weights[name][[renamed, 0]]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    ids = np.select([ids == renamed, ids == 0], [0, renamed], ids).astype(np.int32)
    assert (ids[0, 20:49] == 0).any(), "the test needs an EOS before the end of a suffix"
    engine = engine_of(folder)
    assert scored(engine, ids).memorized.tolist() == [True, False] * 6
    decoded = engine.decode([row[:20] for row in ids[::2]], 30)
    assert all(np.array_equal(new, row[20:]) for new, row in zip(decoded, ids[::2], strict=True))


def test_a_tie_counts_as_a_hit(make_model):
    folder = make_model("pythia", seed=4)
    weights = load_file(folder / "model.safetensors")
    weights["embed_out.weight"][:] = 0.0  # every logit is 0: all tie
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    scores = scored(engine_of(folder), np.full((1, 64), 7))
    assert scores.memorized.all()
    assert scores.ambiguous.all()


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_give_no_finite_logits_are_no_sure_misses(make_model, broken):
    folder = make_model("pythia", seed=5)
    weights = load_file(folder / "model.safetensors")
    weights["embed_out.weight"][7] = broken
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(EngineError, match="gives NaN or infinity"):
        scored(engine_of(folder), np.full((1, 64), 9))


@pytest.mark.parametrize("kind", ["gpt2", "llama", "gemma2", "granite", "cohere", "mamba", "opt", "qwen2_moe", "gptj"])
def test_other_architectures_are_scored_as_they_decode(kind, tiny, tmp_path, recited_ids):
    torch.manual_seed(0)
    shape = {
        "vocab_size": 300,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 64,
        "head_dim": 8,
        "ffn_dim": 64,
        "rotary_dim": 8,
        "word_embed_proj_dim": 32,
        "logit_scale": 0.5,
        "logits_scaling": 3.0,
        "initializer_range": 0.3,
        "eos_token_id": 0,
        "bos_token_id": 0,
        "pad_token_id": 0,
    }
    config = AutoConfig.for_model(kind)
    settings = {name: value for name, value in shape.items() if hasattr(config, name)}
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **settings))
    model.save_pretrained(tmp_path)
    ids = recited_ids(tmp_path, examples=8, prefix=20, suffix=30)
    assert scored(engine_of(tmp_path), ids).memorized.tolist() == [True, False] * 4


def fail_above(engine, largest: int, error: RuntimeError) -> list[int]:
    """Make the model itself raise for larger batches, as scarce memory does; returns the sizes it was run with."""
    sizes = []

    def check_size(module, arguments, settings):
        sizes.append(len(settings["input_ids"]))
        if sizes[-1] > largest:
            raise error

    engine._model.base_model.register_forward_pre_hook(check_size, with_kwargs=True)
    return sizes


def test_memory_running_out_halves_the_batch_and_changes_no_verdict(family):
    folder, ids = family
    engine = engine_of(folder, batch_size=16)
    before = scored(engine, ids)
    sizes = fail_above(engine, 3, torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.warns(UserWarning, match="runs out of memory on cpu with .* examples") as warnings:
        assert np.array_equal(scored(engine, ids).memorized, before.memorized)
    assert [str(warning.message).split("; ")[-1] for warning in warnings] == [
        f"--kdmem-batch-size {size} starts with that number" for size in (8, 4, 2)
    ]
    assert sizes[:4] == [16, 8, 4, 2]
    assert max(sizes[3:]) == 2


def test_memory_too_small_for_one_example_is_an_error_that_says_so(tiny):
    engine = engine_of(tiny, batch_size=4)
    fail_above(engine, 0, RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"))
    with (
        pytest.warns(UserWarning, match="continues with 1"),
        pytest.raises(EngineError, match="runs out of memory with one example"),
    ):
        scored(engine, np.ones((4, 64), dtype=np.int32))


def test_other_errors_of_the_runtime_are_not_taken_for_memory(tiny):
    engine = engine_of(tiny, batch_size=4)
    fail_above(engine, 0, RuntimeError("shape mismatch"))
    with pytest.raises(RuntimeError, match="shape mismatch"):
        scored(engine, np.ones((4, 64), dtype=np.int32))


def test_ids_outside_the_vocabulary_are_refused_with_their_example(tiny):
    ids = np.ones((3, 64), dtype=np.int32)
    ids[2, 60] = 300
    with pytest.raises(EngineError, match=r"below 300 .*example 2 holds 300"):
        scored(engine_of(tiny), ids)


@pytest.mark.parametrize("metrics", ["all", "verdict"])
def test_progress_counts_every_example_once(family, metrics):
    folder, ids = family
    counts: list[int] = []
    examples = [Example(position, row.astype(np.int32)) for position, row in enumerate(ids)]
    engine_of(folder, batch_size=6).score(examples, EXTRACTION, metrics, counts.append)
    assert counts == [6, 6, 4]


@pytest.mark.parametrize("in_a_cycle", [False, True])
def test_an_engine_that_is_closed_has_freed_its_weights(tiny, in_a_cycle):
    engine = engine_of(tiny)
    if in_a_cycle:
        engine._model.itself = [engine._model]
    weights = [ref(weight) for weight in engine._model.parameters()]
    engine.close()
    assert not any(weight() is not None for weight in weights)
