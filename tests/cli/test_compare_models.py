"""`kdmem compare-models`: what a model and its quantized forms recite, against what their own libraries decode."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from peft import LoraConfig
from scipy.stats import binomtest

from pytest_kdmem.cli import compare_models
from tests.engines.transformers.any_adapter import recited_unmerged, save_adapter
from tests.quantized_models import KINDS, PREFIX, TOKENS, decoded, sequences, train

LENGTHS = (
    f"--prefix-tokens={PREFIX}", f"--suffix-tokens={TOKENS - PREFIX}", f"--window-tokens={TOKENS}",
)  # fmt: skip


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A model, and it in four bits of three kinds."""
    top = tmp_path_factory.mktemp("models")
    full = train(top / "full")
    for kind, name in (("torchao int4", "int4"), ("GGUF Q4_0", "q4_0"), ("bitsandbytes 4 bit", "nf4")):
        KINDS[kind][0](full, top / name)
    return [full, top / "int4", top / "q4_0", top / "nf4"]


@pytest.fixture(scope="module")
def recited(models: list[Path]) -> list[set[int]]:
    """The rows that each model recites, by its own library."""
    arguments: list[dict[str, str]] = [{}, {}, {"gguf_file": "model.gguf"}, {}]
    return [
        set(np.flatnonzero((decoded(folder, **own) == sequences()).all(axis=1)).tolist())
        for folder, own in zip(models, arguments, strict=True)
    ]


@pytest.fixture
def compare(kdmem, models, tmp_path):
    """Runs the command over the models."""
    np.save(tmp_path / "data.npy", sequences())
    return lambda *options, of=models: kdmem(
        "compare-models", *of, "--training-set=data.npy", "--cache-dir=cache", *LENGTHS, *options
    )


def test_what_is_too_short_and_stands_several_times_is_warned_of(kdmem, models, tmp_path):
    rows = sequences()[:3].tolist()
    pq.write_table(pa.table({"input_ids": [*rows, *[rows[0][:-1]] * 5]}), tmp_path / "data.parquet")
    done = kdmem("compare-models", models[0], models[1], "--training-set=data.parquet", "--cache-dir=cache", *LENGTHS)
    assert done.code == 0
    assert "too short to be looked at, and stands there up to 5 times" in " ".join(done.out.split())


def test_sets_overlap_and_p_values_are_those_of_independent_decoding(compare, models, recited):
    done = compare("--json=compared.json", "--show-ids")
    assert (done.code, done.err) == (0, "")
    content = json.loads(Path("compared.json").read_text())
    assert (content["kind"], content["schema_version"]) == ("kdmem-model-comparison", 1)
    assert content["examples"] == len(sequences())
    first = recited[0]
    assert len(first) >= 3
    assert recited[3] != first  # else this compares nothing
    for entry, folder, rows in zip(content["models"], models, recited, strict=True):
        assert (entry["name"], entry["recited_ids"], entry["rate"]["k"]) == (folder.name, sorted(rows), len(rows))
        if folder != models[0]:
            assert (entry["lost_ids"], entry["gained_ids"]) == (sorted(first - rows), sorted(rows - first))
            difference = entry["difference"]
            assert (difference["lost"], difference["gained"]) == (len(first - rows), len(rows - first))
            assert difference["overlap"] == pytest.approx(len(first & rows) / len(first | rows))
            changed = len(first ^ rows)
            p_value = binomtest(len(first - rows), changed).pvalue if changed else 1.0
            assert difference["p_value"] == pytest.approx(p_value)
            row = next(line for line in done.out.splitlines() if line.strip().startswith(folder.name))
            assert str(len(rows)) in row.split()
    assert [entry["quantization"] is None for entry in content["models"]] == [True, False, False, False]
    assert f"all {len(sequences())} distinct examples of data" in done.out


def test_models_that_were_scored_before_are_read_from_the_store(compare, monkeypatch):
    before = compare()
    monkeypatch.setattr("pytest_kdmem.engines.transformers.loading.AutoModelForCausalLM", None)
    assert compare() == before
    assert compare("--no-cache").code != 0


def test_the_record_names_no_examples_unless_asked(compare):
    compare("--json=compared.json")
    assert "_ids" not in Path("compared.json").read_text()


@pytest.mark.parametrize("further", [0, 1])
def test_more_examples_than_allowed_end_in_1(compare, models, recited, further):
    """The order of models decides what is gained: what four bits lost, the whole model gains."""
    gained = len(recited[0] - recited[3])
    assert gained > 0
    done = compare(f"--max-gained={gained - 1 + further}", of=[models[3], models[0]])
    assert done.code == 1 - further
    assert ("may be recited that nf4 does not: full" in done.out) == (further == 0)


def test_the_base_that_is_given_is_that_of_the_adapters_among_the_models(compare, models, tmp_path):
    full = models[0]
    lora = save_adapter(full, LoraConfig(target_modules=["q_proj"], init_lora_weights=False), tmp_path / "lora")
    moved = shutil.copytree(full, tmp_path / "moved")
    config = json.loads((lora / "adapter_config.json").read_text())
    (lora / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": "nowhere"}))
    assert "The base of the adapter" in compare(of=[full, lora]).err
    done = compare(f"--base={moved}", "--json=compared.json", of=[full, lora])
    assert (done.code, done.err) == (0, "")
    recited = recited_unmerged(full, lora, sequences()[:, :PREFIX], TOKENS - PREFIX)
    rows = np.flatnonzero((recited == sequences()).all(axis=1)).tolist()
    entry = json.loads(Path("compared.json").read_text())["models"][1]
    assert (entry["name"], entry["rate"]["k"]) == ("lora", len(rows))
    none = compare(f"--base={moved}", of=[full, models[1]])
    assert (none.code, "An adapter was expected among the models" in none.err) == (2, True)


def test_one_model_is_none_to_compare(compare, models):
    done = compare(of=models[:1])
    assert done.code == 2
    assert "Two models or more were expected" in done.err


def test_models_of_other_tokenizers_are_refused_before_any_is_scored(compare, models, tiny, monkeypatch):
    monkeypatch.setattr("pytest_kdmem.engines.transformers.loading.AutoModelForCausalLM", None)
    done = compare("--no-cache", of=[models[0], tiny])
    assert done.code == 2
    assert "The same tokenizer was expected of full" in done.err


def test_models_of_one_name_are_told_apart_by_their_folders():
    names = compare_models._names(["a/student", "b/student", "teacher"])
    assert names == ["a/student", "b/student", "teacher"]


def test_no_number_is_cut_in_a_narrow_terminal(compare, monkeypatch):
    wide = compare().out
    monkeypatch.setenv("COLUMNS", "40")
    assert [line.split() for line in compare().out.splitlines()] == [line.split() for line in wide.splitlines()]
    assert "…" not in wide
