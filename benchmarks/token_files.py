"""How fast and in how much memory a token file is read, beside numpy alone: `python benchmarks/token_files.py`.

A flat file and a Megatron pair of random ids are written, and read in processes of their own. numpy alone takes the
same rows out of a memory map, each as 32-bit ids, as trainings do; or whole parts of the file, which is all that a disk
or its cache gives. The package reads documents (or parts of a stream), and examples as scoring gets them.
"""

from __future__ import annotations

import argparse
import json
import resource
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from pytest_kdmem.corpus.examples import stream_examples
from pytest_kdmem.corpus.sources import read_documents
from pytest_kdmem.specs.declared import Extraction, TrainingSet

VOCABULARY, IDS_AT_ONCE = 50_000, 1 << 22


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=1.0, help="Size of each file, in 10**9 bytes.")
    parser.add_argument("--window", type=int, default=2048, help="Tokens of an example, and of a sequence of the pair.")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="Folder of the files; a temporary one if not given.")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(Path(options.measure[0]), options.measure[1], options.window)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        path = Path(scratch) / "tokens.bin"
        rows = round(options.gigabytes * 1e9 / 2 / options.window)
        write(path, rows, options.window)
        print(f"{path.stat().st_size / 1e9:.2f} GB of 16-bit ids, {rows} rows of {options.window}")
        print(f"{'':32}{'MB/s':>8}{'peak, MB':>10}{'of numpy':>10}")
        for kind in ("flat", "pair"):
            if kind == "pair":
                write_index(path, rows, options.window)
            speeds: dict[str, float] = {}
            for name in READERS:
                runs = [in_child(path, name, options.window) for _ in range(options.repeats)]
                speeds[name] = path.stat().st_size / 1e6 / min(seconds for seconds, _ in runs)
                peak = max(peak for _, peak in runs)
                share = speeds[name] / speeds.get("numpy, rows", speeds[name])
                print(f"{kind + ': ' + name:<32}{speeds[name]:>8.0f}{peak:>10.0f}{share:>10.2f}", flush=True)


def write(path: Path, rows: int, window: int) -> None:
    random, missing = np.random.default_rng(0), rows * window
    with path.open("wb") as sink:
        while missing > 0:
            ids = random.integers(1, VOCABULARY, min(missing, IDS_AT_ONCE), dtype=np.uint16)
            sink.write(ids.tobytes())
            missing -= len(ids)


def write_index(path: Path, rows: int, window: int) -> None:
    sizes, places = np.full(rows, window, "<i4"), np.arange(rows + 1, dtype="<i8")
    header = b"MMIDIDX\0\0" + struct.pack("<QBQQ", 1, 8, rows, rows + 1)
    content = [sizes.tobytes(), (places[:-1] * 2 * window).tobytes(), places.tobytes()]
    path.with_suffix(".idx").write_bytes(header + b"".join(content))


def in_child(path: Path, name: str, window: int) -> tuple[float, float]:
    """Seconds of a read, and the peak of its process's memory in MB."""
    command = [sys.executable, __file__, "--window", str(window), "--measure", str(path), name]
    seconds, peak = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return seconds, peak


def measure(path: Path, name: str, window: int) -> None:
    start = time.perf_counter()
    tokens = sum(map(len, READERS[name](path, window)))
    seconds = time.perf_counter() - start
    assert tokens == path.stat().st_size // 2
    print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000]))


def numpy_parts(path: Path, window: int) -> Iterator[np.ndarray]:
    with path.open("rb") as file:
        while len(ids := np.fromfile(file, np.uint16, IDS_AT_ONCE)):
            yield ids.astype(np.int32)


def numpy_rows(path: Path, window: int) -> Iterator[np.ndarray]:
    ids = np.memmap(path, np.uint16, mode="r")
    return (ids[at : at + window].astype(np.int32) for at in range(0, len(ids), window))


def declared(path: Path) -> TrainingSet:
    is_pair = path.with_suffix(".idx").is_file()
    return TrainingSet(str(path)) if is_pair else TrainingSet(str(path), dtype="uint16", form="blocks")


def package_documents(path: Path, window: int) -> Iterator[np.ndarray]:
    return map(np.asarray, read_documents(declared(path)))


def package_examples(path: Path, window: int) -> Iterator[np.ndarray]:
    return (example.ids for example in stream_examples(declared(path), None, Extraction(50, 50, window)))


READERS: dict[str, Callable[[Path, int], Iterator[np.ndarray]]] = {
    "numpy, parts of the file": numpy_parts,
    "numpy, rows": numpy_rows,
    "documents": package_documents,
    "examples": package_examples,
}


if __name__ == "__main__":
    main()
