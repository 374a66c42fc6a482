"""The share that is read estimates how many examples a source holds, and changes nothing of what is read."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pytest_kdmem.corpus.read_meter import ReadMeter
from pytest_kdmem.corpus.sources import read_documents
from pytest_kdmem.specs.declared import TrainingSet

LINES = 20_000


@pytest.fixture(scope="module")
def texts() -> list[str]:
    numbers = np.random.default_rng(0).integers(0, 10**6, (LINES, 12)).tolist()
    return [f"line {place} {' '.join(map(str, row))}" for place, row in enumerate(numbers)]


def estimates(source: str, texts: list[str]) -> list[int]:
    """The estimates at each tenth of a source, whose documents must be these texts."""
    meter, read = ReadMeter(), []
    assert meter.estimate(1) is None
    made = []
    for number, document in enumerate(read_documents(TrainingSet(source), meter=meter), start=1):
        read.append(document)
        if number % (LINES // 10) == 0:
            made.append(meter.estimate(number))
    assert read == texts == list(read_documents(TrainingSet(source)))
    return made


@pytest.mark.parametrize("form", [".txt", ".jsonl", ".jsonl.gz", ".parquet", "-of-files"])
def test_estimates_are_near_the_number_of_documents(form: str, texts: list[str], tmp_path: Path) -> None:
    rows = "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()
    source = tmp_path / f"set{form}"
    match form:
        case ".txt":
            source.write_text("\n".join(texts))
        case ".jsonl":
            source.write_bytes(rows)
        case ".jsonl.gz":
            source.write_bytes(gzip.compress(rows, 1))
        case ".parquet":
            pq.write_table(pa.table({"text": texts}), source)
        case _:
            source.mkdir()
            for part in range(4):
                (source / f"{part}.txt").write_text("\n".join(texts[part * LINES // 4 : (part + 1) * LINES // 4]))
    address = f"file://{source}" if source.is_dir() else str(source)
    made = estimates(address, texts)
    # A compressed file is read some blocks ahead of its lines.
    assert made == pytest.approx([LINES] * 10, rel=0.15 if form.endswith(".gz") else 0.1)
    assert made[-1] == pytest.approx(LINES, rel=0.01)


def test_no_share_is_no_estimate() -> None:
    meter = ReadMeter()
    meter.set_share(0.001)
    assert meter.estimate(5) is None
    meter.set_share(0.5)
    assert meter.estimate(0) is None
    assert meter.estimate(5) == 10
    meter.begin_file(1, 4)
    assert meter.estimate(5) == 20
