"""Every causal language model of transformers, tiny and reciting: `python benchmarks/architectures.py [TYPE …]`.

A random model recites what it decodes. Rows of prefix and greedy continuation, the same with one token changed, and
random rows are audited, and the verdicts are held against a loop that feeds the whole text again for each token. Prints
a line per architecture: agrees, refused and why, not built and why; `WRONG` stands for a wrong verdict.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.utils import logging

from pytest_kdmem.errors import KdmemError
from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings

EXTRACTION = Extraction(prefix_tokens=12, suffix_tokens=12, window_tokens=32)
VOCABULARY, RECITED, RANDOM = 96, 4, 4
FIRST_ORDINARY = 5
# Values of settings by their names, in configurations of all classes. A value that is smaller already stays.
SIZES: dict[int, str] = {
    128: "max_position_embeddings n_positions max_seq_len n_ctx max_position max_source_positions max_target_positions",
    64: "hidden_size d_model n_embd dim embedding_size embed_dim emb_dim word_embed_proj_dim lru_width hidden_dim"
    " input_embedding_size attention_hidden_size hidden_size_global",
    VOCABULARY: "vocab_size n_vocab vocab_size_per_layer_input"
    " intermediate_size ffn_dim d_ff n_inner decoder_ffn_dim encoder_ffn_dim ffn_hidden_size moe_intermediate_size"
    " shared_expert_intermediate_size dim_ff intermediate_size_mlp expert_ffn_hidden_size shared_intermediate_size",
    32: "q_lora_rank adapter_rank num_buckets sliding_window local_attention window_size",
    16: "head_dim kv_channels d_kv global_head_dim attention_head_dim swa_head_dim qk_nope_head_dim v_head_dim"
    " kv_lora_rank hidden_size_per_layer_input moe_latent_size state_size mamba_d_state ssm_state_size"
    " linear_key_head_dim linear_value_head_dim index_head_dim index_topk",
    8: "rotary_dim qk_rope_head_dim n_mamba_heads mamba_n_heads",
    4: "num_attention_heads n_head n_heads num_heads decoder_attention_heads encoder_attention_heads attention_heads"
    " num_decoder_attention_heads num_encoder_attention_heads num_experts n_routed_experts num_local_experts"
    " moe_num_experts linear_num_value_heads index_n_heads num_hidden_layers n_layer n_layers num_layers decoder_layers"
    " encoder_layers num_decoder_layers num_encoder_layers",
    2: "num_key_value_heads n_kv_heads num_kv_heads num_experts_per_tok num_experts_per_token moe_topk moe_k moe_top_k"
    " linear_num_key_heads",
    1: "num_mem_blocks num_dense_layers first_k_dense_replace n_group topk_group altup_num_inputs",
    0: "num_kv_shared_layers num_nextn_predict_layers pad_token_id",
}
SHRUNK = {name: size for size, names in SIZES.items() for name in names.split()}


class Outcome(NamedTuple):
    """What became of an architecture: ``agrees``, ``refused``, ``not built`` or ``WRONG``, with the reason."""

    result: str
    reason: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("types", nargs="*", help="model types; all if none is named")
    parser.add_argument("--part", default="1/1", help="every n-th of them: 1/4 … 4/4")
    options = parser.parse_args()
    number, parts = map(int, options.part.split("/"))
    outcomes = {}
    for model_type in (options.types or sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES))[number - 1 :: parts]:
        outcomes[model_type] = outcome = audit_architecture(model_type)
        print(f"| {model_type} | {outcome.result} | {outcome.reason} |", flush=True)
    results = [outcome.result for outcome in outcomes.values()]
    print({result: results.count(result) for result in sorted(set(results))})


def audit_architecture(model_type: str) -> Outcome:
    """Build an architecture tiny, and compare the verdicts of an audit with those of a plain loop."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            build(model_type, Path(folder))
        except Exception as error:
            return Outcome("not built", f"{type(error).__name__}: {str(error).strip().splitlines()[0][:120]}")
        return _audit(Path(folder))


def _audit(folder: Path) -> Outcome:
    try:
        model = AutoModelForCausalLM.from_pretrained(folder).eval()
        rows, expected = rows_of(model)
    except Exception as error:
        rows, expected = np.random.default_rng(0).integers(FIRST_ORDINARY, VOCABULARY, (8, 32), dtype=np.int32), None
        reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0][:120]}"
    np.save(folder / "rows.npy", rows)
    data = TrainingSet(str(folder / "rows.npy"))
    try:
        tables = [
            score(Model(str(folder)), data, EXTRACTION, ScoreStore(folder / "store" / metrics), metrics=metrics,
                  settings=RunSettings(device="cpu", dtype="float32")).rows.to_pylist()
            for metrics in ("all", "verdict")
        ]  # fmt: skip
    except KdmemError as error:
        return Outcome("refused", str(error).replace(str(folder), "FOLDER"))
    except Exception as error:
        return Outcome("WRONG", f"{type(error).__name__} escapes: {error}"[:300])
    if expected is None:
        return Outcome("WRONG", f"it is audited and cannot be decoded ({reason})")
    wrong = [
        index
        for table in tables
        for index, row in enumerate(table)
        if row["first_miss"] != expected[index] and not row["ambiguous"]
    ]
    ambiguous = sum(bool(row["ambiguous"]) for row in tables[0])
    if wrong:
        actual = [(table[wrong[0]]["first_miss"], table[wrong[0]]["margin"]) for table in tables]
        return Outcome("WRONG", f"rows {wrong}: {actual} instead of {expected[wrong[0]]}")
    return Outcome("agrees", f"{sum(miss < 0 for miss in expected)} of {len(rows)} recited, {ambiguous} ambiguous")


@torch.inference_mode()
def rows_of(model: Any) -> tuple[npt.NDArray[np.int32], list[int]]:
    """Rows ``[12, 32]`` of token ids, and the first suffix position of each that greedy decoding misses, or −1."""
    random = np.random.default_rng(0)
    prefix, scored = EXTRACTION.prefix_tokens, EXTRACTION.scored_tokens
    rows = random.integers(FIRST_ORDINARY, VOCABULARY, (2 * RECITED + RANDOM, EXTRACTION.window_tokens), dtype=np.int32)
    continuations = [decode(model, row[:prefix]) for row in rows]
    for index in range(RECITED):
        rows[index, prefix:scored] = continuations[index]
        rows[RECITED + index] = rows[index]
        position = prefix + 3 * index
        rows[RECITED + index, position] = (rows[index, position] + 1 + index) % VOCABULARY
        continuations[RECITED + index] = continuations[index]
    expected = []
    for row, continuation in zip(rows, continuations, strict=True):
        differs = np.flatnonzero(continuation != row[prefix:scored])
        expected.append(int(differs[0]) if len(differs) else -1)
    return rows, expected


def decode(model: Any, prefix: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Greedy continuation of a prefix: the whole text is fed again for each token."""
    ids = prefix.tolist()
    for _ in range(EXTRACTION.suffix_tokens):
        ids.append(int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
    return np.array(ids[len(prefix) :], dtype=np.int32)


def build(model_type: str, folder: Path) -> None:
    """Save a tiny random model; the settings of `architectures.json` complete those by name."""
    config_class = type(AutoConfig.for_model(model_type))
    own = json.loads(Path(__file__).with_suffix(".json").read_text()).get(model_type, {})
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config_class(**_merged(_shrunk(config_class), own))).float().eval()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, (torch.nn.Linear, torch.nn.Embedding)):
                module.weight.normal_(0.0, 0.3)
    model.save_pretrained(folder)


def _shrunk(config_class: type[PreTrainedConfig]) -> dict[str, Any]:
    """Settings that make a configuration small, parts included."""
    settings: dict[str, Any] = {}
    for name, value in vars(config_class()).items():
        if isinstance(value, PreTrainedConfig):
            settings[name] = _shrunk(type(value))
        elif name in SHRUNK and isinstance(value, int) and not isinstance(value, bool):
            settings[name] = min(SHRUNK[name], value)
        elif name.endswith("token_id") and isinstance(value, int):
            settings[name] = min(value, FIRST_ORDINARY - 1)
    if "kv_lora_rank" in settings and "num_key_value_heads" in settings:  # heads share a latent, not keys
        settings["num_key_value_heads"] = settings["num_attention_heads"]
    return settings


def _merged(settings: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    nested = {
        name: _merged(settings[name], value)
        for name, value in own.items()
        if isinstance(value, dict) and isinstance(settings.get(name), dict)
    }
    return {**settings, **own, **nested}


if __name__ == "__main__":
    main()
