"""Warnings about models that make a comparison say less than it seems to."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_kdmem.auditing.provenance import (
    Mismatch,
    card_mismatches,
    model_warnings,
    read_trusted_card,
    refused_or_warned,
    window_warnings,
)
from pytest_kdmem.corpus.sources import training_fingerprint
from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.checkpoint import Checkpoint, open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.run_card import FILE_NAME, DataOrigin, ModelOrigin, RunCard, write_run_card
from pytest_kdmem.specs.weights import weights_digest
from tests.quantized_models import train, write_gguf
from tests.specs.any_card import card


@pytest.fixture
def model(tiny: Path, tmp_path: Path) -> Path:
    """A model folder of this test's own."""
    return Path(shutil.copytree(tiny, tmp_path / "model"))


def test_a_baseline_of_another_size_or_that_is_the_teacher_is_warned_of() -> None:
    large, small, equally_small = (
        Checkpoint(Path(), digest, "tokenizer", "text", size, 300, None, "float32", "GPTNeoX")
        for digest, size in (("a", 3_000_000), ("b", 800_000), ("c", 800_000))
    )
    assert list(model_warnings(large, small, equally_small)) == []
    [warning] = model_warnings(large, large, small)
    assert warning == "teacher and baseline are the same model: no example is memorized by the teacher alone"
    [warning] = model_warnings(small, large, equally_small)
    assert warning == (
        "the baseline has 3 000 000 parameters, the student 800 000: a part of the reduction comes from this difference"
    )


def test_a_card_is_believed_of_its_own_weights_only(model: Path, make_model: Any) -> None:
    def believed() -> Any:
        return read_trusted_card("student", Model(model), open_checkpoint(Model(model)))

    assert believed() == (None, [], [])
    made = card(weights=weights_digest(model))
    write_run_card(made, model)
    assert believed() == (made, [], [])
    shutil.copy(make_model(seed=1) / "model.safetensors", model)
    read_card, warnings, [mismatch] = believed()
    assert (read_card, warnings, mismatch.kind) == (None, [], "weights")
    assert believed().told == [mismatch.sentence] == ["run card of student belongs to other weights"]
    assert str(model / FILE_NAME) in mismatch.refusal
    (model / FILE_NAME).write_text("{")
    read_card, warnings, [mismatch] = believed()
    assert (read_card, warnings, mismatch.kind) == (None, [], "weights")
    assert mismatch.sentence.startswith("run card of student cannot be read")
    assert mismatch.refusal.startswith(f"A run card was expected in {model / FILE_NAME}")
    assert mismatch.refusal.endswith(", or")


def test_a_card_of_the_weights_that_a_gguf_file_was_made_from_is_no_mix_up(make_model: Any, tmp_path: Path) -> None:
    """Converters write the file into the model's folder; a file that came with another folder's card is refused."""
    full, folder = train(tmp_path / "full", steps=0), tmp_path / "converted"
    write_gguf("Q8_0")(full, folder)
    file = Model(str(folder / "model.gguf"))

    def kinds() -> list[str]:
        return [found.kind for found in read_trusted_card("student", file, open_checkpoint(file)).mismatches]

    write_run_card(card(weights=weights_digest(full)), folder)
    assert kinds() == ["weights"], "the card's own weights lie elsewhere"
    shutil.copy(full / "model.safetensors", folder)
    read_card, [warning], mismatches = read_trusted_card("student", file, open_checkpoint(file))
    assert (read_card, mismatches) == (None, [])
    assert warning == "run card of student is of the weights beside its GGUF file, and is not used"
    shutil.copy(make_model(seed=1) / "model.safetensors", folder)
    assert kinds() == ["weights"]
    (folder / "model.safetensors").write_bytes(b"no weights")
    assert kinds() == ["weights"]


def test_a_card_that_came_with_other_weights_after_scoring_is_not_believed(model: Path, make_model: Any) -> None:
    scored = open_checkpoint(Model(model))
    shutil.copy(make_model(seed=1) / "model.safetensors", model)
    write_run_card(card(weights=weights_digest(model)), model)
    read_card, [warning], mismatches = read_trusted_card("student", Model(model), scored)
    assert (read_card, mismatches) == (None, [])
    assert "changed after the model was scored" in warning


def warnings_of(
    made: RunCard, role: str = "student", teacher: str | None = None, data: TrainingSet | None = None
) -> Any:
    return [mismatch.sentence for mismatch in card_mismatches(made, "it", role, teacher, data, Extraction())]


def test_a_known_difference_stops_an_audit_unless_it_is_accepted_by_name() -> None:
    data, role = Mismatch("training-set", "it was trained on b.npy"), Mismatch("role", "it was distilled")
    assert refused_or_warned([], "student", ()) == []
    assert refused_or_warned([data, role], "student", {"student:training-set", "student:role"}) == [
        "it was trained on b.npy",
        "it was distilled",
    ]
    for accepted in ((), {"student:role"}, {"baseline:training-set"}):
        with pytest.raises(SpecError, match="accept this difference by --kdmem-accept-provenance=student:training-set"):
            refused_or_warned([data, role], "student", accepted)


@pytest.mark.parametrize("role", ["student", "baseline", "student-hard"])
def test_another_teacher_than_the_audits_is_told(role: str) -> None:
    own, other = "3f2a" + "0" * 28, "12ab" + "0" * 28
    made = card(mode="baseline" if role == "baseline" else "soft", teacher=ModelOrigin("runs/teacher", own))
    assert warnings_of(made, role, own) == warnings_of(made, role, None) == []
    [warning] = warnings_of(made, role, other)
    assert warning.startswith("it was distilled from teacher 3f2a…")
    assert "12ab…" in warning
    assert warnings_of(made, "teacher", other) == [], "a teacher may have had a teacher of its own"


@pytest.mark.parametrize("mode", ["soft", "hard"])
def test_a_baseline_that_was_distilled_is_told(mode: str) -> None:
    [warning] = warnings_of(card(mode=mode), "baseline")
    assert warning.startswith(f"according to its run card, it was distilled (mode {mode})")
    assert warnings_of(card(mode=mode), "student") == []


def test_a_student_that_had_no_teacher_is_told() -> None:
    plain = card(mode="baseline", teacher=None)
    [warning] = warnings_of(plain, "student", "12ab")
    assert warning.startswith("according to its run card, it was trained as a baseline")
    assert warnings_of(plain, "baseline", "12ab") == warnings_of(plain, "teacher") == []


@pytest.mark.parametrize(("window", "warnings"), [(99, 1), (100, 0), (None, 0)])
def test_windows_shorter_than_what_is_audited_are_told(window: int | None, warnings: int) -> None:
    messages = warnings_of(card(extraction={"window_tokens": window} if window else {}))
    assert len(messages) == warnings
    assert all("windows of 99 tokens" in message for message in messages)


def test_another_training_set_than_the_audits_is_told(tmp_path: Path) -> None:
    rows = np.arange(40).reshape(4, 10)
    for name, content in (("a", rows), ("copy", rows), ("b", rows + 1)):
        np.save(tmp_path / f"{name}.npy", content)
    declared = TrainingSet(tmp_path / "a.npy")
    made = card(training_set=DataOrigin("a.npy", training_fingerprint(declared), 4, 40))
    for same in (declared, replace(declared, sample=2, seed=5), TrainingSet(tmp_path / "copy.npy")):
        assert warnings_of(made, data=same) == []
    [warning] = warnings_of(made, data=TrainingSet(tmp_path / "b.npy"))
    assert warning.startswith("according to its run card, it was trained on a.npy")


@pytest.mark.parametrize("source", ["/home/someone/fineweb.jsonl", "HuggingFaceFW/fineweb", "fineweb"])
def test_what_cannot_be_compared_by_content_is_by_name(source: str) -> None:
    made = card(training_set=DataOrigin(source, None, 4, 40))
    assert warnings_of(made, data=TrainingSet("HuggingFaceFW/fineweb")) == []
    [warning] = warnings_of(made, data=TrainingSet("someone/other"))
    assert "called other" in warning
    assert "someone/" not in warning.split(" and ")[0]
    fingerprinted = replace(made, training_set=replace(made.training_set, fingerprint="f" * 32))
    assert len(warnings_of(fingerprinted, data=TrainingSet("someone/other"))) == 1


HOSTILE = {
    "a lone surrogate": ("loss", '"\\ud800"'),
    "one in a recipe": ("recipe", '{"\\udc00": 1}'),
    "a number beyond floats": ("epochs", "1" + "0" * 400),
    "one that cannot be read": ("steps", "1" + "0" * 5000),
    "one beyond 64 bits": ("steps", "1" + "0" * 400),
    "one in a curve": ("loss_curve", "[[1, 1" + "0" * 400 + "]]"),
    "no number": ("recipe", '{"a": NaN}'),
    "a list in a list": ("recipe", '{"a": [[]]}'),
    "deep lists": ("recipe", '{"a": ' + "[" * 900 + "]" * 900 + "}"),
    "lists too deep to read": ("recipe", '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}"),
    "a deep version": ("schema_version", "[" * 900 + "]" * 900),
}


@pytest.mark.parametrize(("part", "wrong"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_card_is_a_mismatch(model: Path, part: str, wrong: str) -> None:
    content = json.dumps({**card(weights=weights_digest(model)).to_json(), part: "HERE"})
    (model / FILE_NAME).write_text(content.replace('"HERE"', wrong))
    read_card, warnings, [mismatch] = read_trusted_card("student", Model(model), open_checkpoint(Model(model)))
    assert (read_card, warnings, mismatch.kind) == (None, [], "weights")
    assert mismatch.sentence.startswith("run card of student cannot be read")
    for sentence in (mismatch.sentence, mismatch.refusal):
        assert "\n" not in sentence
        assert len(sentence) < 1000
        sentence.encode()


@pytest.mark.parametrize(
    ("trained", "warning"),
    [
        (104, "beyond which nothing was learned"),
        (512, "and learned text that is cut off here"),
        (256, ""),
        (99, ""),  # which is a mismatch, and no warning
        (None, ""),
    ],
)
def test_another_window_than_that_of_training_is_warned_of_with_the_way_out(trained: int | None, warning: str) -> None:
    made = card(extraction={"window_tokens": trained} if trained else {})
    way_out = f"this audit reads 256 (--kdmem-window-tokens={trained} makes both equal)"
    expected = (
        f"according to its run card, student was trained on windows of {trained} tokens, {warning}, and {way_out}"
    )
    assert list(window_warnings(made, "student", Extraction())) == ([expected] if warning else [])


def test_a_student_of_a_cleaned_set_is_audited_over_the_whole(tmp_path: Path) -> None:
    """The baseline and the teacher are not: theirs is the set of the audit."""
    rows = np.arange(300).reshape(3, 100).astype(np.int32)
    np.save(tmp_path / "rows.npy", rows)
    whole = TrainingSet(tmp_path / "rows.npy")
    fingerprint = training_fingerprint(whole)
    for cleaned_from, role, count in ((fingerprint, "student", 0), (fingerprint, "baseline", 1), ("x", "student", 1)):
        made = card(
            mode="soft" if role == "student" else "baseline",
            training_set=DataOrigin("rows", "other", 2, 200, cleaned_from),
        )
        mismatches = card_mismatches(made, role, role, None, whole, Extraction())
        assert [mismatch.kind for mismatch in mismatches] == ["training-set"] * count
