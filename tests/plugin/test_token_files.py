"""The same rows as a token file of any kind hold the same gates, declared by an audit or by settings alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.corpus.megatron_files import write_pair

RATE = "def test_rate(memorization, student):\n    assert memorization(student).rate <= 0.01\n"
IN_WINDOWS = ["--kdmem-window-tokens=20"]


def stream(folder: Path, rows: list[list[int]]) -> list[str]:
    (folder / "set.bin").write_bytes(np.array(rows, "uint16").tobytes())
    return ["--kdmem-token-dtype=uint16", "--kdmem-form=blocks", *IN_WINDOWS]


def documents(folder: Path, rows: list[list[int]]) -> list[str]:
    (folder / "set.bin").write_bytes(np.array([[*row, 0] for row in rows], "uint32").tobytes())
    return ["--kdmem-token-dtype=uint32", "--kdmem-eos-id=0"]


def pair(folder: Path, rows: list[list[int]]) -> list[str]:
    write_pair(folder / "set.bin", [[*row, 0] for row in rows])
    return []


def pair_in_blocks(folder: Path, rows: list[list[int]]) -> list[str]:
    write_pair(folder / "set.bin", rows)
    return ["--kdmem-form=blocks", "--kdmem-eos=never", *IN_WINDOWS]


def samples(folder: Path, rows: list[list[int]]) -> list[str]:
    """Samples of one row each, and the first token of the next."""
    write_pair(folder / "set.bin", [*rows, [1]])
    places = np.arange(len(rows) + 1)
    np.save(folder / "a_doc_idx.npy", places)
    np.save(folder / "a_sample_idx.npy", np.stack([places, 0 * places], axis=1))
    np.save(folder / "a_shuffle_idx.npy", places[:-1][::-1])
    return ["--kdmem-order=a_shuffle_idx.npy"]


def shards(folder: Path, rows: list[list[int]]) -> list[str]:
    """A stream over three files, which are cut within a row."""
    tokens = np.array(rows, "uint16").reshape(-1)
    (folder / "set.bin").mkdir()
    for number, part in enumerate(np.split(tokens, [130, 271])):
        (folder / "set.bin" / f"part-{number}.bin").write_bytes(part.tobytes())
    return ["--kdmem-token-dtype=uint16", "--kdmem-form=blocks", *IN_WINDOWS]


@pytest.mark.parametrize("write", [stream, documents, pair, pair_in_blocks, samples, shards])
def test_a_token_file_is_audited_as_its_rows_are(unscored_project, write: Callable[..., list[str]]):
    options = write(unscored_project.path, unscored_project.cast.rows.tolist())
    unscored_project.gates(RATE)
    result = unscored_project.run("--kdmem-training-set=set.bin", *options)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*memorization rate of student 25.00% (5 of 20) > 1.00%*"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "*The type of the token ids in *set.bin was expected to be declared*"),
        (["--kdmem-token-dtype=uint16"], "*how training cut *set.bin, a stream of tokens; declare form=*"),
        (["--kdmem-token-dtype=uint16", "--kdmem-eos-id=5"], "*Token ids from 0 to below 300 were expected by model*"),
    ],
)
def test_what_a_token_file_does_not_tell_is_asked_for(unscored_project, options, message):
    (unscored_project.path / "set.bin").write_bytes(np.arange(295, 700, dtype="uint16").tobytes())
    unscored_project.gates(RATE)
    result = unscored_project.run("--kdmem-training-set=set.bin", *options, *IN_WINDOWS)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([message])


def test_a_declared_token_file_keeps_its_settings_unless_another_is_named(unscored_project):
    project = unscored_project
    stream(project.path, project.cast.rows.tolist())
    project.declare(data='TrainingSet("set.bin", dtype="uint16", form="blocks")')
    project.gates(RATE)
    failing_rate = ["*(5 of 20) > 1.00%*"]
    project.run(*IN_WINDOWS).stdout.fnmatch_lines(failing_rate)
    project.declare(data='TrainingSet("set.bin", dtype="uint16", eos_id=0)')
    project.run("--kdmem-training-set=data.npy").stdout.fnmatch_lines(failing_rate)
