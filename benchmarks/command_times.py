"""Wall time of every command on the shipped fixtures, cold and warm: `python benchmarks/command_times.py`.

Prints a Markdown table. Cold: with an empty cache, and for a study with an empty folder. Warm: the same command again,
the fastest of the repeated runs. Each runs in a process of its own, so imports count. The first row reads the files of
torch and transformers, which all others find in memory.
"""

from __future__ import annotations

import argparse
import compileall
import itertools
import os
import shlex
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PYTHIA, CORPUS = "fixtures/models/pythia", "fixtures/corpus"
LENGTHS = "--window-tokens 128 --cache-dir '{cache}'"
ROWS = f"{CORPUS}/training.jsonl.gz {LENGTHS}"
PAIR = f"--teacher {PYTHIA}/teacher --baseline {PYTHIA}/baseline"
STUDY = """
name = "toy"
window_tokens = 64
prefix_tokens = 16
suffix_tokens = 16
vocabulary = 512
family = "pythia"
seeds = [0]
repetition = [[4, 0.1]]

[sizes]
large = { layers = 2, width = 64, heads = 2 }
small = { layers = 1, width = 32, heads = 2 }

[datasets.invented]
text = "control.jsonl.gz"
examples = 64
held_out_examples = 16
shares = { pretraining = 0.4, training = 0.4, held_out = 0.2 }

[recipes]
base-large = { epochs = 1, learning_rate = 1e-3 }
base-small = { epochs = 1, learning_rate = 1e-3 }
teacher = { epochs = 2, learning_rate = 1e-2 }
baseline = { epochs = 2, learning_rate = 1e-2 }
soft = { epochs = 2, learning_rate = 1e-2, temperature = 2.0 }
hard = { epochs = 2, learning_rate = 1e-2 }
"""


@dataclass(frozen=True)
class Timed:
    """A command that is timed.

    Args:
        shown: The command as the table names it, without paths.
        arguments: Arguments of Python, as a shell splits them. {scratch} is a folder that all commands share, {cache}
            the cache of this command alone, {n} the number of the run.
    """

    shown: str
    arguments: str

    def seconds(self, scratch: Path, run: int) -> float:
        """Run the command once.

        Raises:
            SystemExit: It exits with another code than 0.
        """
        places = {"scratch": scratch, "cache": scratch / f"cache-of-{self.shown}", "n": run}
        arguments = [part.format(**places) for part in shlex.split(self.arguments)]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        start = time.perf_counter()
        ended = subprocess.run(
            [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        duration = time.perf_counter() - start
        if ended.returncode:
            raise SystemExit(f"{self.shown} exited with {ended.returncode}:\n{ended.stdout}{ended.stderr}")
        return duration


def kdmem(arguments: str, shown: str = "") -> Timed:
    """A command of kdmem; ``shown`` is by default its words before the first path or option."""
    words = itertools.takewhile(lambda word: not set(word) & set("/{"), arguments.split())
    return Timed(f"kdmem {shown or ' '.join(words)}", f"-m pytest_kdmem {arguments}")


COMMANDS = (
    Timed("python -c 'import torch, transformers'", "-c 'import torch, transformers'"),
    kdmem("--version"),
    kdmem("init {scratch}/audits-{n} --workflow none"),
    Timed(
        "pytest audits/pythia",
        "-m pytest audits/pythia -p no:cacheprovider --kdmem-cache-dir '{cache}' --kdmem-report {scratch}/audit.json",
    ),
    kdmem("report {scratch}/audit.json --to {scratch}/audit-{n}.html --to {scratch}/audit-{n}.md"),
    kdmem("compare {scratch}/audit.json {scratch}/audit.json"),
    kdmem("card {scratch}/audit.json {scratch}/card-{n}.md"),
    kdmem("comment {scratch}/audit.json"),
    kdmem("cache info --cache-dir {scratch}/no-cache", "cache info"),
    kdmem(f"score {PYTHIA}/student {ROWS} --out {{scratch}}/scores-{{n}}.parquet"),
    kdmem(f"confirm {PYTHIA}/student {ROWS} --sample 400"),
    kdmem(f"compare-models {PYTHIA}/student {PYTHIA}/student-hard --training-set {ROWS} --sample 400"),
    kdmem(f"risk {ROWS} {PAIR}"),
    kdmem(f"prefilter {ROWS} {PAIR} --at-most 5% --out {{scratch}}/cleaned-{{n}}"),
    kdmem(
        f"distill --teacher {PYTHIA}/teacher --init {PYTHIA}/base-small --train {CORPUS}/control.jsonl.gz {LENGTHS}"
        " --epochs 1 --out {scratch}/student-{n}",
        "distill (soft, 500 rows, one epoch)",
    ),
    kdmem(f"canaries make {PYTHIA}/base-small --out {{scratch}}/canaries-{{n}}.json"),
    kdmem(
        f"canaries inject {CORPUS}/control.jsonl.gz --model {PYTHIA}/base-small --window-tokens 128"
        " --manifest {scratch}/canaries-0.json --out {scratch}/injected-{n}.jsonl.gz",
    ),
    kdmem(
        f"canaries audit fixtures/models/planted/student {CORPUS}/planted.jsonl.gz {LENGTHS}"
        f" --manifest {CORPUS}/canaries.json"
    ),
    kdmem(
        f"study {{scratch}}/study.toml --data {CORPUS} --only main --out {{scratch}}/study",
        "study (six small models)",
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=2, help="Number of warm runs.")
    options = parser.parse_args()
    compileall.compile_dir(ROOT / "pytest_kdmem", quiet=1)
    print("| command | cold | warm |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        (scratch / "study.toml").write_text(STUDY, encoding="utf-8")
        for command in COMMANDS:
            cold, *warm = (command.seconds(scratch, run) for run in range(options.repeats + 1))
            print(f"| `{command.shown}` | {cold:.1f} s | {min(warm):.1f} s |", flush=True)


if __name__ == "__main__":
    main()
