"""`kdmem confirm`: who agrees with the scores, and how the command ends if one does not."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest


def forge(cache: Path, rows: range) -> None:
    """Store the opposite verdict for some rows, under a checksum that fits."""
    [shard] = cache.rglob("*.parquet")
    table = pq.read_table(shard)
    verdicts = [memorized != (row in rows) for row, memorized in enumerate(table["memorized"].to_pylist())]
    table = table.set_column(table.schema.get_field_index("memorized"), "memorized", pa.array(verdicts))
    shard.unlink()
    pq.write_table(table, shard)
    checksum = hashlib.sha256(shard.read_bytes()).hexdigest()[:16]
    shard.rename(shard.with_name(f"{shard.name.split('.')[0]}.{checksum}.parquet"))


@pytest.fixture(scope="session")
def twins(tiny, tmp_path_factory) -> Path:
    """A model to which each even token and the odd one after it are equally likely, so that decoding takes the even."""
    import torch
    from transformers import AutoModelForCausalLM

    folder = Path(shutil.copytree(tiny, tmp_path_factory.mktemp("twins"), dirs_exist_ok=True))
    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        head = model.get_output_embeddings().weight
        head[1::2] = head[::2]
    model.save_pretrained(folder)
    return folder


def test_agreement_is_shown_by_check(kdmem, tiny, data):
    done = kdmem("confirm", tiny, data, "--json", "out/confirmed.json")
    assert (done.code, done.err) == (0, "")
    ambiguous, head, scored, decoded, tolerance = done.out.splitlines()
    assert ambiguous == f"{tiny.name}: 0 of 12 distinct examples ambiguous (0.00%), 12 checked"
    assert head.split() == ["check", "checked", "agree", "disagree", "outside", "the", "band"]
    assert scored.split() == ["transformers", "scored", "12", "12", "0", "0"]
    assert decoded.split() == ["transformers", "decoded", "12", "12", "0", "0"]
    assert tolerance.startswith("tolerance in logits: claimed 2^-")
    assert tolerance.endswith(": the claim holds")
    content = json.loads(Path("out/confirmed.json").read_text())
    assert (content["confirmed"], content["checked"], content["examples"], content["ambiguous"]) == (True, 12, 12, 0)
    assert [(check["engine"], check["way"], check["disagreements"]) for check in content["witnesses"]] == [
        ("transformers", "scored", []),
        ("transformers", "decoded", []),
    ]
    assert content["implied_tolerance"] <= content["claimed_tolerance"]
    assert content["greatest_difference"] <= content["implied_tolerance"]


def test_the_command_given_again_loads_no_model(kdmem, tiny, data, monkeypatch):
    from pytest_kdmem.engines.transformers import engine as transformers

    first = kdmem("confirm", tiny, data)
    assert "1 score shards, 1 training sets, 1 confirmations" in kdmem("cache", "info").out
    monkeypatch.setattr(transformers, "TransformersEngine", lambda *a, **k: pytest.fail("a model was loaded"))
    assert kdmem("confirm", tiny, data) == first
    assert kdmem("cache", "prune").out.startswith("5 files of scores")
    assert "0 confirmations" in kdmem("cache", "info").out


def test_a_disagreement_outside_the_band_is_exit_code_1(kdmem, tiny, data, scored, monkeypatch):
    """A verdict that was turned in the store is one that no engine confirms."""
    forge(scored, range(2))
    monkeypatch.setattr("pytest_kdmem.cli.confirm.MOST_SHOWN", 3)
    done = kdmem("confirm", tiny, data, "--json", "confirmed.json")
    assert (done.code, done.err) == (1, "")
    assert "transformers scored        12       10         2                 2" in done.out
    assert "transformers decoded       12       10         2                 2" in done.out
    assert "the claim is too narrow" in done.out
    *_, first, second, third, hidden = done.out.splitlines()
    assert [line.split(",")[0] for line in (first, second, third)] == ["example 0", "example 1", "example 0"]
    assert first.endswith(": memorized to transformers scored, outside the band")
    assert second.endswith(": not memorized to transformers scored, outside the band")
    assert hidden == "and 1 more disagreements"
    content = json.loads(Path("confirmed.json").read_text())
    assert content["confirmed"] is False
    assert [len(check["disagreements"]) for check in content["witnesses"]] == [2, 2]


def test_a_score_that_is_not_confirmed_writes_no_table(kdmem, tiny, data, scored):
    forge(scored, range(1))
    Path("scores.parquet").write_text("of another run")
    done = kdmem("score", tiny, data, "--out", "scores.parquet", "--confirm")
    assert done.code == 2
    assert "transformers scored differs on 1 of 12 examples (first: example 0" in done.err
    assert not Path("scores.parquet").exists()


def test_disagreements_inside_the_band_pass(kdmem, twins, recited_ids, tmp_path):
    """Where two tokens are equally likely, scoring counts a hit, and decoding takes the other token."""
    rows = recited_ids(twins, examples=8)
    rows[::2, -1] += 1
    np.save(tmp_path / "rows.npy", rows)
    done = kdmem("confirm", twins, "rows.npy")
    assert (done.code, done.err) == (0, "")
    assert ": 4 of 8 distinct examples ambiguous (50.00%), 8 checked" in done.out
    assert "transformers scored         8        8         0                 0" in done.out
    assert "transformers decoded        8        4         4                 0" in done.out
    assert "the claim holds" in done.out
    assert done.out.count("not memorized to transformers decoded, inside the band") == 4


def test_results_of_an_earlier_run_are_gone_if_the_command_fails(kdmem, data):
    Path("x.json").write_text("of another run")
    assert kdmem("confirm", "no/such/model", data, "--json", "x.json").code == 2
    assert not Path("x.json").exists()


def test_a_part_of_a_run_cannot_be_confirmed(kdmem):
    assert "--shard" not in kdmem("confirm", "--help").out
