"""Calibration of predicted risks: a predictor fitted to the shipped student, compared with students of other seeds.

    python benchmarks/calibration.py --out runs/seeds --seeds 1 2

distils the shipped Pythia student anew with each seed, as `fixtures/build.py` did with seed 0 (some minutes each), and
prints for each range of risks how many examples the new student memorized, and the interval that was predicted.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from pytest_kdmem.distill.recipe import Recipe
from pytest_kdmem.distill.run import distill_once
from pytest_kdmem.risk.features import extract_features
from pytest_kdmem.risk.fitting import fit_predictor
from pytest_kdmem.risk.pipeline import RiskPipeline
from pytest_kdmem.risk.reliability import brier_score, reliability_bins
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings

FIXTURES = Path(__file__).parents[1] / "fixtures"
MODELS = FIXTURES / "models/pythia"
STUDENT = Recipe(mode="soft", temperature=2.0, epochs=4, learning_rate=1.5e-3)
EXTRACTION = Extraction(50, 50, 128)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="Folder of models and scores.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2], help="Seeds of the new students.")
    arguments = parser.parse_args()
    teacher, baseline, shipped_student = (Model(str(MODELS / role)) for role in ("teacher", "baseline", "student"))
    corpus, store = TrainingSet(str(FIXTURES / "corpus/training.jsonl.gz")), ScoreStore(arguments.out / "scores")
    pipeline = RiskPipeline(teacher, baseline, corpus, EXTRACTION, store, RunSettings())
    features = extract_features(pipeline.score_pair())
    predictor = fit_predictor(features, pipeline.load_labels(features, shipped_student)).predictor
    risks = predictor.risk(predictor.log_odds(features.values))
    refits = np.concatenate(list(predictor.refit_risks(features.values))).T
    print(f"learned from seed 0: {predictor.positives} of {predictor.examples} memorized")
    for seed in arguments.seeds:
        student = distill_once(
            replace(STUDENT, seed=seed),
            init=Model(str(MODELS / "base-small")),
            training_set=corpus,
            models_dir=arguments.out / "models",
            teacher=teacher,
            extraction=EXTRACTION,
        )
        memorized = pipeline.load_labels(features, student).memorized
        print(f"seed {seed}: {memorized.sum()} memorized, Brier score {brier_score(risks, memorized):.5f}")
        for risk_bin in reliability_bins(risks, refits, memorized):
            predicted = f"{100 * risk_bin.low:.1f} to {100 * risk_bin.high:.1f} %"
            observed = f"{round(risk_bin.observed * risk_bin.n)} of {risk_bin.n} ({100 * risk_bin.observed:.1f} %)"
            outside = "" if risk_bin.covers_observed else ": outside"
            print(f"  risk {risk_bin.lower:g}–{risk_bin.upper:g}: predicted {predicted}, observed {observed}{outside}")


if __name__ == "__main__":
    main()
