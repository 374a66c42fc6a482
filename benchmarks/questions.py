"""Further questions to the shipped models: `python benchmarks/questions.py [--out FOLDER]`.

Asks the Pythia teacher, baseline, soft and hard student what the study's part `questions` asks its models, over the
training set that they were trained on, with the shipped control set, and prints the study's tables. There is one seed.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.run_card import read_run_card
from pytest_kdmem.study.further_report import write_questions
from pytest_kdmem.study.questions import Questioner
from pytest_kdmem.study.record import ModelRun, Role, Study

FIXTURES = Path(__file__).parents[1] / "fixtures"
EXTRACTION = Extraction(prefix_tokens=50, suffix_tokens=50, window_tokens=128)
# Folder, role, and the model that training started from.
MODELS: tuple[tuple[str, Role, str], ...] = (
    ("teacher", "teacher", "base-large"),
    ("baseline", "baseline", "base-small"),
    ("student", "soft", "base-small"),
    ("student-hard", "hard", "base-small"),
)


def asked(name: str, role: Role, start: str, questioner: Questioner) -> ModelRun:
    """A model with its answers."""
    folder = FIXTURES / "models/pythia" / name
    model, store = Model(str(folder)), questioner.store
    card = read_run_card(folder)
    held_out = score(model, questioner.controls, EXTRACTION, store)
    scores = score(model, questioner.training_set, EXTRACTION, store)
    losses = held_out.rows["nll"].drop_null().to_numpy()
    return ModelRun(
        part="main",
        family="pythia",
        dataset="fixtures",
        role=role,
        size="large" if role == "teacher" else "small",
        seed=0,
        temperature=2.0 if role == "soft" else None,
        parameters=open_checkpoint(model).parameters,
        seconds=card.seconds if card is not None else 0.0,
        held_out_loss=float(losses.mean()),
        scores=scores.rows,
        answers=questioner.ask(model, Model(str(FIXTURES / "models/pythia" / start))),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="Folder for scores and the report; a temporary one if not given.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        out = options.out or Path(scratch)
        corpus = FIXTURES / "corpus"
        questioner = Questioner(
            TrainingSet(str(corpus / "training.jsonl.gz")),
            TrainingSet(str(corpus / "control.jsonl.gz")),
            EXTRACTION,
            ScoreStore(out / "scores"),
        )
        runs = tuple(asked(*model, questioner) for model in MODELS)
        _, documents = np.unique(runs[0].scores["digest"].to_numpy(), return_inverse=True)
        study = Study("of the shipped models", {}, runs, {"fixtures": tuple(documents.tolist())})
        _, tables = write_questions(study, out / "report")
        print(tables.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
