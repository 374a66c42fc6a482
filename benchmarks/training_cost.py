"""Seconds that each way of training takes for the same rows: `python benchmarks/training_cost.py`.

Trains the shipped small Pythia model, from the shipped teacher, for an epoch over the same rows in each mode, several
times in turn, and prints the seconds of training beside those of the soft student. The teacher's writing for a hard
student comes before its training and is not counted.
"""

from __future__ import annotations

import argparse
import gzip
import statistics
import tempfile
from pathlib import Path

from pytest_kdmem.distill.recipe import Mode, Recipe
from pytest_kdmem.distill.run import distill
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.run_card import read_run_card

FIXTURES = Path(__file__).parents[1] / "fixtures"
MODES: tuple[Mode, ...] = ("baseline", "soft", "hard", "on-policy")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=320)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.jsonl"
        with gzip.open(FIXTURES / "corpus/training.jsonl.gz", "rt", encoding="utf-8") as lines:
            rows.write_text("".join(line for line, _ in zip(lines, range(arguments.rows), strict=False)), "utf-8")
        seconds: dict[Mode, list[float]] = {mode: [] for mode in MODES}
        for turn in range(arguments.rounds):
            for mode in MODES:
                seconds[mode].append(_seconds(mode, rows, Path(folder) / f"{mode}-{turn}"))
    print(f"| mode | seconds of an epoch of {arguments.rows} rows, median | × soft, median over rounds |")
    print("|---|---|---|")
    for mode in MODES:
        ratios = [own / soft for own, soft in zip(seconds[mode], seconds["soft"], strict=True)]
        print(f"| {mode} | {statistics.median(seconds[mode]):.1f} | {statistics.median(ratios):.2f} |")


def _seconds(mode: Mode, rows: Path, out: Path) -> float:
    """Seconds of one training, as its run card has them."""
    models = FIXTURES / "models/pythia"
    distill(
        Recipe(mode, epochs=1),
        init=Model(str(models / "base-small")),
        training_set=TrainingSet(str(rows)),
        out=out,
        teacher=None if mode == "baseline" else Model(str(models / "teacher")),
        extraction=Extraction(50, 50, 128),
        cache_dir=out.parent / f"{out.name}-cache",
    )
    card = read_run_card(out)
    assert card is not None
    return card.seconds


if __name__ == "__main__":
    main()
