"""`kdmem canaries`: made once, put into a set that is read again, and measured as the fixture measures them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pytest_kdmem.canaries.manifest import MANIFEST
from pytest_kdmem.cli import main
from pytest_kdmem.corpus.sources import training_fingerprint
from pytest_kdmem.specs.declared import TrainingSet
from pytest_kdmem.specs.run_card import DataOrigin, write_run_card
from pytest_kdmem.specs.weights import weights_digest
from tests.canaries.planted import plant
from tests.plugin.test_dry_run import tree
from tests.specs.any_card import card

LENGTHS = ["--prefix-tokens=8", "--suffix-tokens=8"]
WINDOW = "--window-tokens=24"
AUDIT = ["--manifest=canaries.json", *LENGTHS, WINDOW, "--device=cpu", "--cache-dir=cache"]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("planted")
    plant(folder)
    return folder


@pytest.fixture(autouse=True)
def _in_folder(planted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(planted)


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["canaries", *arguments])
    return int(ended.value.code or 0)


def test_canaries_are_made_once(planted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make = ["make", "unseen", "--out=made.json", *LENGTHS, "--copies=2,8", "--count=3", "--twins=100"]
    assert run(*make) == 0
    manifest = MANIFEST.read(planted / "made.json")
    printed, told = capsys.readouterr()
    assert told.splitlines() == ["kdmem: opening the tokenizer of unseen", "kdmem: drawing canaries"]
    assert (manifest.tiers, len(manifest.planted), len(manifest.twins)) == ((2, 8), 6, 100)
    assert manifest.digest in printed
    assert not [canary for canary in manifest.canaries if canary.suffix in printed]
    assert run(*make) == 2
    assert "registered only once" in capsys.readouterr().err
    assert run("make", "unseen", "--out=more.json", "--copies=two") == 2


def test_a_copy_is_audited_with_figures_of_each_number_of_copies(
    planted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inject = ["inject", "train.jsonl", "--model=unseen", "--manifest=canaries.json", "--out=again.jsonl"]
    assert run(*inject, *LENGTHS, WINDOW) == 0
    printed, told = capsys.readouterr()
    assert "204 rows put in" in printed
    assert told.splitlines()[0] == "kdmem: opening the tokenizer of unseen"
    assert (planted / "again.jsonl").read_bytes() == (planted / "with.jsonl").read_bytes()
    assert run("audit", "saw", "again.jsonl", *AUDIT, "--json=saw.json") == 0
    printed = capsys.readouterr().out
    content, manifest = json.loads((planted / "saw.json").read_text()), MANIFEST.read(planted / "canaries.json")
    assert (content["canaries"], content["twins"]) == (manifest.digest, 120)
    assert [tier["copies"] for tier in content["tiers"]] == [1, 16]
    exposed = [tier["exposure"]["value"] for tier in content["tiers"]]
    assert exposed[1] > exposed[0] + 1
    assert all(f"{value:.2f} [" in printed for value in exposed)
    assert content["tiers"][0]["exposure"]["unit"] == "bits"
    assert content["tiers"][0]["greatest"] == pytest.approx(6.9189, abs=1e-4)
    assert not [canary for canary in manifest.canaries if canary.suffix in printed]


def test_a_dry_run_checks_the_copy_and_scores_nothing(planted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = tree(planted)
    assert run("audit", "saw", "with.jsonl", *AUDIT, "--json=dry.json", "--dry-run", "--no-cache") == 0
    printed = capsys.readouterr().out
    strings = len(MANIFEST.read(planted / "canaries.json").canaries)
    assert f"over canaries and their twins: {strings} examples, 0 of them scored already" in printed
    assert printed.endswith("dry run: nothing was written\n")
    assert tree(planted) == before
    assert run("audit", "saw", "train.jsonl", *AUDIT, "--dry-run", "--no-cache") == 2


def test_a_model_that_was_trained_on_another_set_or_a_cleaned_copy_is_told(
    planted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree("unseen", "cleaned-student")
    whole, weights = training_fingerprint(TrainingSet("with.jsonl")), weights_digest(Path("cleaned-student"))
    for cleaned_from, told in ((whole, "a cleaned copy of with"), ("d" * 32, "this audit's training set has other")):
        origin = DataOrigin("cleaned.jsonl", "c" * 32, 100, 0, cleaned_from=cleaned_from)
        write_run_card(card(weights=weights, training_set=origin, extraction={}), Path("cleaned-student"))
        assert run("audit", "cleaned-student", "with.jsonl", *AUDIT) == 0
        [warning] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning")]
        assert "cleaned-student was trained on cleaned.jsonl" in warning
        assert told in warning


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["saw", "train.jsonl", *AUDIT], "24 of 24 are whole in fewer"),
        (["saw", "with.jsonl", *AUDIT, "--fpr=0.001"], "At least 1 000 twins"),
        (["saw", "with.jsonl", *AUDIT, "--fpr=1"], "--fpr must lie between 0 and 1"),
        (["saw", "with.jsonl", *AUDIT[1:], "--manifest=missing.json"], "missing.json"),
    ],
)
def test_what_cannot_be_measured_is_one_sentence(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("audit", *arguments) == 2
    assert message in capsys.readouterr().err
