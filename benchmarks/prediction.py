"""Quality of the prediction of memorization before distilling, by the study's protocol, beside the published figures.

    python benchmarks/prediction.py --study runs/risk

prints a line for each shipped student, and for each soft student of `kdmem study studies/risk.toml --out runs/risk`
(WikiText and FineWeb), which trains the models that are missing.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pytest_kdmem.report.risk import format_statistic
from pytest_kdmem.risk.features import extract_features
from pytest_kdmem.risk.fitting import fit_predictor
from pytest_kdmem.risk.pipeline import RiskPipeline
from pytest_kdmem.risk.trials import TrialStatistic, shuffled_roc_auc
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings
from pytest_kdmem.study import published as paper
from pytest_kdmem.study.findings.risk import risk
from pytest_kdmem.study.run import run_study

ROOT = Path(__file__).parents[1]
STUDENTS = ("pythia/student", "pythia/student-hard", "olmo2/student", "qwen3/student")
SHOWN = ("roc_auc", "pr_auc", "precision", "recall")


class Line(NamedTuple):
    """Figures of the prediction for one student, and ROC-AUC with shuffled labels."""

    name: str
    positives: int
    examples: int
    figures: dict[str, TrialStatistic]
    shuffled: TrialStatistic


def shipped(store: ScoreStore) -> Iterator[Line]:
    """Figures of the students in fixtures/, on the corpus that they were trained on."""
    corpus = TrainingSet(str(ROOT / "fixtures/corpus/training.jsonl.gz"))
    for name in STUDENTS:
        folder = ROOT / "fixtures/models" / name
        teacher, baseline = (Model(str(folder.parent / role)) for role in ("teacher", "baseline"))
        pipeline = RiskPipeline(teacher, baseline, corpus, Extraction(50, 50, 128), store, RunSettings())
        features = extract_features(pipeline.score_pair())
        labels = pipeline.load_labels(features, Model(str(folder)))
        assessment = fit_predictor(features, labels).assessment
        shuffled = shuffled_roc_auc(features.values, labels.memorized, labels.source)
        yield Line(f"shipped, {name}", assessment.positives, assessment.examples, assessment.metrics, shuffled)


def studied(out: Path) -> Iterator[Line]:
    """Figures of the soft students of the study of real text."""
    study = run_study(ROOT / "studies/risk.toml", out, report=lambda line: None)
    for prediction in risk(study).predictions:
        name = f"{prediction.family}, {prediction.dataset}, T = {prediction.temperature:g}, seed {prediction.seed}"
        memorized = prediction.memorized
        yield Line(name, memorized.k, memorized.n, prediction.figures, prediction.shuffled)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", type=Path, help="Folder of the study of real text.")
    arguments = parser.parse_args()
    print(f"{'student':<40}{'memorized':>14}" + "".join(f"{name:>18}" for name in (*SHOWN, "roc_auc, shuffled")))
    with tempfile.TemporaryDirectory() as scratch:
        for line in [*shipped(ScoreStore(Path(scratch))), *(studied(arguments.study) if arguments.study else ())]:
            figures = [*(line.figures[name] for name in SHOWN), line.shuffled]
            counts = f"{line.positives} of {line.examples}"
            print(f"{line.name:<40}{counts:>14}" + "".join(f"{format_statistic(figure):>18}" for figure in figures))
    for setting, published in paper.PREDICTION.items():
        cells = [f"{published[name]:.4f}" if name in published else "–" for name in SHOWN]
        print(f"{'published, ' + ', '.join(setting):<54}" + "".join(f"{cell:>18}" for cell in cells))


if __name__ == "__main__":
    main()
