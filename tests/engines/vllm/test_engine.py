"""vLLM against the transformers engine and plain decoding, and the end of its process."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time
from itertools import islice
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from pytest_kdmem.corpus.examples import Example, stream_examples
from pytest_kdmem.corpus.tokenizer import load_tokenizer
from pytest_kdmem.engines.numerics import unfit_for_vllm
from pytest_kdmem.engines.protocol import Scores
from pytest_kdmem.engines.vllm.versions import SUPPORTED_ARCHITECTURES, TESTED, installed_vllm
from pytest_kdmem.errors import EngineError
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from tests.engines.any_engine import EXTRACTION, examples_of, ignore_progress
from tests.engines.vllm.both_engines import shipped_examples, transformers_of, verdicts_of, vllm_of

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(installed_vllm() not in TESTED, reason=f"vLLM {TESTED[0]} is not installed"),
]
ONE_SENTENCE = re.compile(r"[^.]*(\.\w[^.]*)*\.")  # a dot within a name or number ends none
TOYS = {
    "pythia": "GPTNeoXForCausalLM",
    "olmo2": "Olmo2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
}
OTHERS = {
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "opt": "OPTForCausalLM",
    "phi3": "Phi3ForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
}

LLAMA_3 = {
    "rope_type": "llama3",
    "rope_theta": 500_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
VARIANTS = [
    ("llama", {"attention_bias": True, "mlp_bias": True}),
    ("llama", {"tie_word_embeddings": True, "rope_parameters": LLAMA_3}),
    ("mistral", {"sliding_window": 16}),
    ("mistral", {"sliding_window": None}),
    ("opt", {"do_layer_norm_before": False}),
    ("gpt_neox", {"use_parallel_residual": False}),
    ("gpt_neox", {"rope_parameters": {"rope_theta": 5_000.0, "partial_rotary_factor": 1.0, "rope_type": "default"}}),
    ("phi3", {"rope_parameters": {"rope_theta": 10_000.0, "partial_rotary_factor": 0.5, "rope_type": "default"}}),
    ("qwen2", {"tie_word_embeddings": True, "rope_parameters": {"rope_theta": 1e6, "rope_type": "default"}}),
]


def assert_alike(scores: Scores, expected: Scores) -> None:
    """The same verdicts, first misses and bands, and close margins wherever both engines give them."""
    assert scores.memorized.any()
    assert not scores.memorized.all()
    assert np.array_equal(scores.memorized, expected.memorized)
    assert np.array_equal(scores.first_miss, expected.first_miss)
    assert np.array_equal(scores.ambiguous, expected.ambiguous)
    both = ~np.isnan(scores.margin) & ~np.isnan(expected.margin)
    assert both[scores.memorized].all()
    np.testing.assert_allclose(scores.margin[both], expected.margin[both], atol=2e-4)


def alive(session: int) -> list[psutil.Process]:
    """Processes of a session that have not ended."""
    living = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                living.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return living


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize("name", ["pythia/teacher", "olmo2/student", "qwen3/baseline"])
def test_verdicts_on_shipped_models_are_those_of_transformers_and_of_plain_decoding(shipped, name):
    folder, extraction = shipped / "models" / name, Extraction(50, 50, 128)
    examples = shipped_examples(shipped, folder, 600, extraction)
    engine, counts = vllm_of(folder, extraction), []
    try:
        scores = verdicts_of(engine, examples, extraction, counts.append)
        continuations = engine.decode([example.ids[:50] for example in examples], 50)
    finally:
        engine.close()
    assert_alike(scores, verdicts_of(transformers_of(folder), examples, extraction))
    reproduced = [
        np.array_equal(example.ids[50:100], continuation)
        for example, continuation in zip(examples, continuations, strict=True)
    ]
    assert reproduced == scores.memorized.tolist()
    assert sum(counts) == len(examples)
    assert scores.ambiguous.mean() < 0.01
    assert np.isnan(scores.nll).all()


@pytest.fixture(scope="module")
def teacher(shipped):
    engine = vllm_of(shipped / "models/pythia/teacher")
    yield engine
    engine.close()


def test_next_tokens_of_real_text_are_those_of_transformers(shipped, real_text, teacher):
    folder, extraction = shipped / "models/pythia/teacher", Extraction(49, 1, 128)
    stream = stream_examples(TrainingSet(str(real_text / "fineweb/sample.jsonl")), load_tokenizer(folder), extraction)
    examples = list(islice((example for example in stream if len(example.ids) >= extraction.scored_tokens), 400))
    scores = verdicts_of(teacher, examples, extraction)
    assert_alike(scores, verdicts_of(transformers_of(folder), examples, extraction))


def test_answers_behind_prompts_of_unequal_lengths_have_the_verdicts_of_transformers(shipped, teacher):
    folder = shipped / "models/pythia/teacher"
    answers = [
        Example(example.position, example.ids[5 * (row % 4) :], prefix_tokens=20 - 5 * (row % 4), row=row)
        for row, example in enumerate(shipped_examples(shipped, folder, 400, EXTRACTION))
    ]
    scores = verdicts_of(teacher, answers)
    assert_alike(scores, verdicts_of(transformers_of(folder), answers))
    continuations = teacher.decode([answer.ids[: answer.prefix_tokens] for answer in answers], 30)
    reproduced = [
        np.array_equal(answer.ids[answer.prefix_tokens :][:30], continuation)
        for answer, continuation in zip(answers, continuations, strict=True)
    ]
    assert reproduced == scores.memorized.tolist()


def test_only_verdicts_within_its_lengths_and_vocabulary_are_given(teacher):
    ids = np.ones((3, 64), dtype=np.int32)
    with pytest.raises(EngineError, match="--kdmem-engine transformers computes perplexity and entropy"):
        teacher.score(examples_of(ids), EXTRACTION, "all", ignore_progress)
    with pytest.raises(EngineError, match="losses were asked for; --kdmem-engine transformers computes them"):
        teacher.losses(examples_of(ids))
    with pytest.raises(EngineError, match="At most 50 tokens were expected"):
        verdicts_of(teacher, examples_of(ids), Extraction(50, 1, 64))
    for id_, at in ((2048, 2), (-1, 1)):
        ids[at, 40] = id_
        with pytest.raises(EngineError, match=rf"from 0 to below 2048 .*example {at} holds {id_}:"):
            verdicts_of(teacher, examples_of(ids))


def test_a_process_that_is_killed_is_one_sentence_and_its_memory_is_free(shipped):
    engine = vllm_of(shipped / "models/pythia/student")
    session = engine._server.pid
    assert sum(process.memory_info().rss for process in alive(session)) > 200 << 20

    def kill(done: int) -> None:
        os.kill(session, signal.SIGKILL)

    ids = np.random.default_rng(0).integers(1, 2000, (2000, 64))
    with pytest.raises(EngineError, match="was ended by SIGKILL") as error:
        verdicts_of(engine, examples_of(ids), advance=kill)
    assert ONE_SENTENCE.fullmatch(str(error.value))
    engine.close()
    assert not alive(session)


def test_closing_ends_every_process_at_once(tiny):
    engine = vllm_of(tiny)
    session = engine._server.pid
    began = time.monotonic()
    engine.close()
    assert time.monotonic() - began < 5
    assert not alive(session)
    engine.close()  # twice is harmless


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize("kind", [*TOYS, *OTHERS])
def test_architectures_are_scored_as_they_decode(kind, make_model, tmp_path, recited_ids):
    folder = make_model(kind) if kind in TOYS else other_model(kind, tmp_path)
    ids = recited_ids(folder, examples=16, prefix=20, suffix=30)
    ids[::4, 45] = (ids[::4, 45] + 1) % 290  # a late miss
    engine = vllm_of(folder, batch_size=4)
    try:
        scores = verdicts_of(engine, examples_of(ids))
    finally:
        engine.close()
    assert scores.memorized.tolist() == [False, False, True, False] * 4
    assert (scores.first_miss[::4] == 25).all()
    assert_alike(scores, verdicts_of(transformers_of(folder), examples_of(ids)))


@pytest.mark.usefixtures("forked")
@pytest.mark.slow
@pytest.mark.parametrize(("kind", "settings"), VARIANTS, ids=str)
def test_every_compared_setting_is_scored_alike(kind, settings, tmp_path, recited_ids):
    """The values beside the usual ones that `pytest_kdmem.engines.vllm.configurations` lists."""
    folder = other_model(kind, tmp_path, **settings)
    model = Model(str(folder))
    assert unfit_for_vllm(model, open_checkpoint(model)) == ""
    ids = recited_ids(folder, examples=16, prefix=20, suffix=30)
    engine = vllm_of(folder, batch_size=4)
    try:
        scores = verdicts_of(engine, examples_of(ids))
    finally:
        engine.close()
    assert_alike(scores, verdicts_of(transformers_of(folder), examples_of(ids)))


def test_every_supported_architecture_is_tested():
    assert {*TOYS.values(), *OTHERS.values()} == SUPPORTED_ARCHITECTURES


def other_model(kind: str, folder: Path, **own: object) -> Path:
    torch.manual_seed(0)
    shape = {
        "vocab_size": 300,
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 64,
        "head_dim": 16,
        "ffn_dim": 64,
        "word_embed_proj_dim": 64,
        "max_position_embeddings": 128,
        "initializer_range": 0.3,
        "eos_token_id": 0,
        "bos_token_id": 0,
        "pad_token_id": 0,
    }
    config = AutoConfig.for_model(kind)
    settings = {name: value for name, value in shape.items() if hasattr(config, name)} | own
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **settings))
    assert type(model).__name__ in SUPPORTED_ARCHITECTURES
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):  # zeros at first, which any engine could leave out
                parameter.normal_(0.0, 0.3)
    model.save_pretrained(folder)
    return folder


@pytest.mark.usefixtures("forked")
def test_eos_is_an_ordinary_token_and_the_generation_config_is_put_aside(make_model, recited_ids):
    folder = make_model("pythia", seed=3)
    ids = recited_ids(folder, examples=8, prefix=20, suffix=30)
    everything = list(range(300))
    for name in ("config.json", "generation_config.json"):
        settings = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**settings, "eos_token_id": everything}))
    settings = json.loads((folder / "generation_config.json").read_text())
    settings |= {"repetition_penalty": 9.0, "min_new_tokens": 40, "temperature": 2.0, "do_sample": True, "top_k": 3}
    (folder / "generation_config.json").write_text(json.dumps(settings))
    engine = vllm_of(folder)
    try:
        scores = verdicts_of(engine, examples_of(ids))
        continuations = engine.decode([row[:20] for row in ids[::2]], 30)
    finally:
        engine.close()
    assert scores.memorized.tolist() == [True, False] * 4
    assert np.array_equal(np.array(continuations), ids[::2, 20:])


@pytest.mark.usefixtures("forked")
def test_a_tie_is_a_hit_even_where_positions_end_with_the_suffix(make_model):
    folder = make_model("pythia", seed=4, max_position_embeddings=50)
    weights = load_file(folder / "model.safetensors")
    weights["embed_out.weight" if "embed_out.weight" in weights else "lm_head.weight"].zero_()
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    ids = np.random.default_rng(0).integers(0, 300, (5, 50))
    engine = vllm_of(folder)
    try:
        scores = verdicts_of(engine, examples_of(ids))
    finally:
        engine.close()
    assert scores.memorized.all()
    assert scores.ambiguous.all()
    assert (scores.margin == 0).all()


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize("sharded", [False, True])
def test_other_weights_beside_those_of_transformers_are_not_loaded(sharded, make_model, recited_ids):
    folder, other = make_model("pythia", seed=8), make_model("pythia", seed=9) / "model.safetensors"
    ids = recited_ids(folder, examples=8, prefix=20, suffix=30)
    beside = ["model_ema.safetensors", "consolidated.safetensors"]
    if sharded:
        AutoModelForCausalLM.from_pretrained(folder).save_pretrained(folder, max_shard_size="40KB")
        (folder / "model.safetensors").unlink(missing_ok=True)
        assert len(list(folder.glob("model-*.safetensors"))) > 1
    else:
        beside.append("model-00001-of-00001.safetensors")
        index = {"metadata": {}, "weight_map": dict.fromkeys(load_file(other), beside[-1])}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    for name in beside:
        shutil.copyfile(other, folder / name)
    engine = vllm_of(folder)
    linked = Path(engine._folder.name)
    try:
        scores = verdicts_of(engine, examples_of(ids))
    finally:
        engine.close()
    assert scores.memorized.tolist() == [True, False] * 4
    assert_alike(scores, verdicts_of(transformers_of(folder), examples_of(ids)))
    assert not linked.exists()


@pytest.mark.usefixtures("forked")
def test_bfloat16_takes_ties_as_hits_and_agrees_with_transformers_outside_the_bands(make_model):
    folder = make_model("pythia", seed=10)
    weights = load_file(folder / "model.safetensors")
    name = next(name for name in weights if name in ("embed_out.weight", "lm_head.weight"))
    tied = [100, 101, 102]
    weights[name][tied] = 5 * weights[name][tied[0]]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    ids = np.random.default_rng(0).integers(1, 300, (900, 50))
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    with torch.inference_mode():
        logits = model(input_ids=torch.from_numpy(ids)).logits[:, -2].float()
    highest = logits.topk(4)
    surely = (highest.indices[:, :3].sort().values == torch.tensor(tied)).all(1) & (
        highest.values[:, 2] - highest.values[:, 3] > 1
    )
    ties, others = ids[surely.numpy()], ids[~surely.numpy()]
    assert len(ties) >= 20
    rank = np.random.default_rng(0).choice([0, 1, 9], len(others))
    others[:, -1] = logits[~surely].topk(10).indices[np.arange(len(others)), rank]
    extraction = Extraction(49, 1, 64)
    engine = vllm_of(folder, extraction, dtype="bfloat16")
    try:
        scores = verdicts_of(engine, examples_of(others), extraction)
        for target in tied:  # one of them at least is neither the first of the greatest nor the second
            ties[:, -1] = target
            tied_scores = verdicts_of(engine, examples_of(ties), extraction)
            assert tied_scores.memorized.all()
            assert (tied_scores.margin == 0).all()
    finally:
        engine.close()
    expected = verdicts_of(transformers_of(folder, "bfloat16"), examples_of(others), extraction)
    sure = ~(scores.ambiguous | expected.ambiguous)
    assert scores.memorized[sure].sum() >= 20
    assert (~scores.memorized[sure]).sum() >= 20
    assert np.array_equal(scores.memorized[sure], expected.memorized[sure])


@pytest.mark.usefixtures("forked")
def test_nan_of_one_example_names_its_position_and_costs_the_others_nothing(make_model, recited_ids):
    folder = make_model("pythia", seed=5)
    ids = recited_ids(folder, examples=6, prefix=20, suffix=30)
    drawn = np.random.default_rng(0).integers(0, 300, (2, 50))  # those that the tolerance is measured on
    token = int(np.setdiff1d(np.arange(300), np.concatenate([drawn.ravel(), ids.ravel()]))[0])
    weights = load_file(folder / "model.safetensors")
    name = next(name for name in weights if "embed_in" in name)
    weights[name][token] = torch.nan
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    broken = ids.copy()
    broken[4, 3] = token
    engine = vllm_of(folder, batch_size=len(drawn))
    try:
        with pytest.raises(EngineError, match="NaN or infinity at example 4; ") as error:
            verdicts_of(engine, examples_of(broken))
        assert ONE_SENTENCE.fullmatch(str(error.value))
        assert verdicts_of(engine, examples_of(ids)).memorized.tolist() == [True, False] * 3
    finally:
        engine.close()


@pytest.mark.usefixtures("forked")
def test_a_checkpoint_that_lacks_a_tensor_is_refused(make_model):
    folder = make_model("qwen3", seed=6)
    weights = load_file(folder / "model.safetensors")
    gone = next(name for name in weights if "k_proj" in name)
    save_file(
        {name: weight for name, weight in weights.items() if name != gone},
        folder / "model.safetensors",
        {"format": "pt"},
    )
    with pytest.raises(EngineError, match=rf"1 are missing or of another shape \(first: {re.escape(gone)}\)"):
        vllm_of(folder)


@pytest.mark.usefixtures("forked")
def test_a_device_that_this_vllm_is_not_for_is_refused(tiny):
    with pytest.raises(EngineError, match=r"vLLM for cuda was expected, and vLLM .* runs on cpu"):
        vllm_of(tiny, device="cuda")


@pytest.mark.usefixtures("forked")
def test_weights_that_do_not_load_are_one_sentence_about_the_model(make_model):
    folder = make_model("pythia", seed=7)
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(
        json.dumps({**settings, "architectures": ["NoSuchForCausalLM"], "model_type": "x"})
    )
    with pytest.raises(EngineError, match="was expected to run in vLLM, and vLLM fails"):
        vllm_of(folder)
