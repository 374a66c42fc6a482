"""What the pass over all metrics costs beside an earlier version of this package, in CPU seconds.

    git worktree add ../before COMMIT
    python benchmarks/window_columns.py --before ../before

The models have random weights, a small body and a vocabulary of 50 000, so that nearly all of the time goes into the
head and into what is made of its logits. Each version runs in a process of its own; the two take turns, and each
round's scores are made anew. Prints the median and the range of the quotients of all rounds, over one model and over a
teacher and a baseline.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parents[1]
VOCABULARY, WIDTH, LAYERS = 50_000, 256, 4
WINDOW = 128
PASSES = ("one model", "teacher and baseline")


def make_models(folder: Path) -> None:
    """Write a teacher and a baseline with random weights, and one tokenizer of whole words."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    words = {f"w{number}": number for number in range(VOCABULARY)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    for seed, name in enumerate(("teacher", "baseline")):
        torch.manual_seed(seed)
        config = GPTNeoXConfig(
            vocab_size=VOCABULARY,
            hidden_size=WIDTH,
            num_hidden_layers=LAYERS,
            num_attention_heads=WIDTH // 64,
            intermediate_size=4 * WIDTH,
            max_position_embeddings=WINDOW,
        )
        GPTNeoXForCausalLM(config).save_pretrained(folder / name)
        tokenizer.save(str(folder / name / "tokenizer.json"))
        (folder / name / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')


def make_training_set(path: Path, examples: int) -> None:
    draw = random.Random(0)
    lines = (" ".join(f"w{draw.randrange(VOCABULARY)}" for _ in range(WINDOW)) for _ in range(examples))
    path.write_text("\n".join(lines) + "\n")


def serve(folder: Path) -> None:
    """Score once for each line of stdin, and print the CPU seconds of the pass."""
    from time import process_time

    from pytest_kdmem.scoring.score import score, score_pair
    from pytest_kdmem.scoring.store import ScoreStore
    from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
    from pytest_kdmem.specs.runtime import RunSettings

    teacher, baseline = (Model(str(folder / name)) for name in ("teacher", "baseline"))
    training_set, extraction = TrainingSet(str(folder / "train.txt")), Extraction(50, 50, WINDOW)
    settings = RunSettings(engine="transformers", device="cpu", dtype="float32", batch_size=8)
    for line in sys.stdin:
        with tempfile.TemporaryDirectory() as cache:
            store = ScoreStore(Path(cache))
            start = process_time()
            if line.strip() == PASSES[0]:
                score(teacher, training_set, extraction, store, settings=settings, metrics="all")
            else:
                score_pair(teacher, baseline, training_set, extraction, store, settings=settings)
            print(process_time() - start, flush=True)


class Version:
    """A process that scores with the package in a folder."""

    def __init__(self, package: Path, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--serve", str(folder)],
            env={**os.environ, "PYTHONPATH": str(package.resolve())},
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def seconds(self, which: str) -> float:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{which}\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def end(self) -> None:
        self._process.communicate()


def compare(before: Path, folder: Path, rounds: int) -> None:
    versions = Version(before, folder), Version(HERE, folder)
    for which in PASSES:
        for version in versions:  # what is loaded and compiled once is not counted
            version.seconds(which)
        pairs = [tuple(version.seconds(which) for version in versions) for _ in range(rounds)]
        quotients = sorted(now / earlier for earlier, now in pairs)
        earlier, now = (statistics.median(seconds) for seconds in zip(*pairs, strict=True))
        print(
            f"{which}: {earlier:.1f} s before, {now:.1f} s now; {statistics.median(quotients):.2f} ×"
            f" ({quotients[0]:.2f} to {quotients[-1]:.2f}, {rounds} rounds)",
            flush=True,
        )
    for version in versions:
        version.end()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, help="Folder of the earlier version.")
    parser.add_argument("--examples", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        serve(options.serve)
        return
    if options.before is None:
        parser.error("--before is required")
    with tempfile.TemporaryDirectory() as scratch:
        make_models(Path(scratch))
        make_training_set(Path(scratch) / "train.txt", options.examples)
        compare(options.before, Path(scratch), options.rounds)


if __name__ == "__main__":
    main()
