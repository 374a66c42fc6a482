"""Every reader of the package, with valid files to damage."""

from __future__ import annotations

import gzip
import json
import random
import struct
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pytest_kdmem.audit.regression.baseline_file import read_accepted
from pytest_kdmem.audit.regression.reports import compare_reports
from pytest_kdmem.audit.report import read_report
from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.corpus.sources import check_source, expected_examples, fingerprint, read_documents
from pytest_kdmem.errors import KdmemError, SpecError
from pytest_kdmem.report import html, junit, markdown, sarif, terminal
from pytest_kdmem.report.github import workflow_commands
from pytest_kdmem.report.model_card import insert_results, read_card
from pytest_kdmem.risk.predictor_file import read_predictor
from pytest_kdmem.scoring.entries import _canonical
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.store_files import checksum
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.checks import require, source
from pytest_kdmem.specs.declared import Model, TrainingSet
from pytest_kdmem.specs.locations import locate
from pytest_kdmem.specs.run_card import read_run_card
from tests.conftest import ROOT
from tests.corpus.megatron_files import write_order, write_pair
from tests.fuzz.mutations import damage_bytes, damage_json, damage_values
from tests.report.audits import full_audit

RECORDS = ROOT / "tests" / "records"
REPORTS = ROOT / "tests" / "report" / "data"
TEXTS = [f"word{number} " * 4 for number in range(40)]
IDS = [list(range(number, number + 7)) for number in range(40)]

Damage = Callable[[random.Random, bytes], bytes]


@dataclass(frozen=True)
class Reader:
    """One reader.

    Attributes:
        name: Name in the table.
        path: The file that is damaged, relative to an empty folder.
        seeds: Valid contents of that file.
        read: Reads what lies in the folder, and all that is made of it.
        damage: Damages a content.
        beside: Other files that belong to it, by relative path.
        share: How many inputs it gets, relative to the others.
    """

    name: str
    path: str
    seeds: Sequence[bytes]
    read: Callable[[Path], object]
    damage: Damage
    beside: dict[str, bytes] = field(default_factory=dict)
    share: float = 1.0


def any_bytes(random_: random.Random, content: bytes) -> bytes:
    return damage_bytes(random_, content)


def json_or_bytes(random_: random.Random, content: bytes) -> bytes:
    """JSON damaged as a value two times of three, and as bytes else."""
    return damage_json(random_, json.loads(content)) if random_.random() < 2 / 3 else damage_bytes(random_, content)


def values_or_json(random_: random.Random, content: bytes) -> bytes:
    """JSON damaged within the kinds of its values three times of four."""
    return damage_values(random_, json.loads(content)) if random_.random() < 0.75 else json_or_bytes(random_, content)


def json_lines(random_: random.Random, content: bytes) -> bytes:
    lines = content.split(b"\n")
    at = random_.randrange(len(lines) - 1)
    lines[at] = json_or_bytes(random_, lines[at])
    return b"\n".join(lines)


def compressed(compress: Callable[[bytes], bytes], random_: random.Random, content: bytes) -> bytes:
    """Lines damaged before they are compressed, or after."""
    if random_.random() < 0.5:
        return compress(json_lines(random_, content))
    return damage_bytes(random_, compress(content))


def header_of_weights(random_: random.Random, content: bytes) -> bytes:
    """A safetensors file whose header is damaged as JSON and has its right length, or any of its bytes."""
    end = 8 + int.from_bytes(content[:8], "little")
    if random_.random() < 0.3:
        return damage_bytes(random_, content, end)
    header = damage_json(random_, json.loads(content[8:end]))
    return struct.pack("<Q", len(header)) + header + content[end:]


def with_checksum(random_: random.Random, content: bytes) -> bytes:
    """A predictor whose checksum is right, so that its values are read."""
    damaged = values_or_json(random_, content)
    try:
        value = json.loads(damaged)
        value.pop("checksum", None)
        return json.dumps(value | {"checksum": digest_of(value)}).encode()
    except (ValueError, TypeError, AttributeError, RecursionError):
        return damaged


def with_entry_checksum(random_: random.Random, content: bytes) -> bytes:
    """An entry of a store whose checksum is right."""
    damaged = json_or_bytes(random_, content)
    try:
        value = json.loads(damaged)
        kept = {key: entry for key, entry in value.items() if key not in ("format", "checksum")}
        return _canonical({**kept, "format": 1, "checksum": checksum(_canonical(kept))})
    except (ValueError, TypeError, AttributeError, RecursionError):
        return damaged


def any_text(random_: random.Random, content: bytes) -> bytes:
    return damage_bytes(random_, content).replace(b"\xff", b"/")


# What reads


def documents(name: str, folder: Path, order: str | None = None, **declared: Any) -> None:
    training_set = TrainingSet(folder / name, order=str(folder / order) if order else None, **declared)
    expected_examples(training_set, 16)
    for _ in read_documents(training_set, offline=True):
        pass
    fingerprint(training_set)


def checkpoint(folder: Path) -> None:
    open_checkpoint(Model(folder / "model"), offline=True)
    read_run_card(folder / "model")


def rendered(folder: Path) -> None:
    report = read_report(folder / "report.json")
    report.to_json()
    terminal.render(report, verbosity=1, color=True)
    terminal.render(report, unicode=False, width=40)
    for render in (markdown.render, sarif.render, junit.render, workflow_commands):
        render(report)
    compare_reports(report, report)
    for audit in report.audits:
        insert_results("", audit)


def pictured(folder: Path) -> None:
    html.render(read_report(folder / "report.json"))


def card(folder: Path) -> None:
    insert_results(read_card(folder / "README.md"), read_report(REPORTS / "inconclusive.json").audits[0])


def shard(folder: Path) -> None:
    """A shard is renamed to its own checksum, so that its rows are read."""
    path = next((folder / "scores").rglob("*.parquet"))
    content = path.read_bytes()
    right = path.with_name(f"{path.name.partition('.')[0]}.{checksum(content)}.parquet")
    path.rename(right)
    store = ScoreStore(folder)
    list(store.shards())
    store.read_shard(right.parent.name, right.name.partition(".")[0])


def entries(folder: Path) -> None:
    store = ScoreStore(folder)
    list(store.records())
    for path in (folder / "confirmations").glob("*.json"):
        store.read_entry("confirmations", path.stem)


def settings(folder: Path) -> None:
    import tomllib

    import pytest

    from pytest_kdmem.plugin.settings import read_settings
    from pytest_kdmem.plugin.validation import check_settings

    try:
        values = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return  # pytest itself reads the file, and refuses it

    class Config:
        rootpath = folder

        def getoption(self, name: str) -> None:
            return None

        def getini(self, name: str) -> Any:
            return values.get(name) if isinstance(values, dict) else None

    try:
        check_settings(read_settings(Config()))  # type: ignore[arg-type]
    except pytest.UsageError as error:
        raise SpecError(str(error)) from None


def study(folder: Path) -> None:
    from pytest_kdmem.study.config_file import read_config  # it imports torch

    read_config(folder / "study.toml")


def names(folder: Path) -> None:
    """A text in place of a path, a hub id or an address."""
    text = (folder / "name").read_bytes().decode("utf-8", "surrogateescape")
    with suppress(KdmemError):
        check_source(TrainingSet(text))
    with suppress(KdmemError):
        locate(Model(text), offline=True)
    require("a text", text, source)


def _parquet(table: pa.Table, **how: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=13, **how)
    return sink.getvalue().to_pybytes()


def _arrow(table: pa.Table, new: Callable[..., Any], compression: str | None) -> bytes:
    sink = pa.BufferOutputStream()
    with new(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table, max_chunksize=13)
    return sink.getvalue().to_pybytes()


def _npy(array: np.ndarray) -> bytes:
    import io

    sink = io.BytesIO()
    np.save(sink, array)
    return sink.getvalue()


def _token_files() -> dict[str, bytes]:
    """A pair of .bin and .idx, and an order of samples over it."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_pair(folder / "a.bin", IDS)
        write_order(folder, IDS, 9)
        return {path.name: path.read_bytes() for path in folder.iterdir()}


def _zstd(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return sink.getvalue().to_pybytes()


def _tables() -> list[pa.Table]:
    return [
        pa.table({"text": TEXTS, "n": list(range(40))}),
        pa.table({"input_ids": IDS, "text": TEXTS}),
        pa.table({"input_ids": pa.array(IDS, pa.list_(pa.int32(), 7))}),
        pa.table({"text": pa.array(["a", "b", None, "a"] * 10).dictionary_encode()}),
        pa.table({"text": pa.array(["a", "bc", "a"] * 10, pa.large_string())}),
    ]


def _model() -> dict[str, bytes]:
    weights = np.arange(12, dtype=np.float32)
    header = {
        "__metadata__": {"format": "pt"},
        "a": {"dtype": "F32", "shape": [2, 4], "data_offsets": [0, 32]},
        "b": {"dtype": "F32", "shape": [4], "data_offsets": [32, 48]},
    }
    text = json.dumps(header).encode()
    index = {"metadata": {"total_size": 48}, "weight_map": {"a": "shard.safetensors", "b": "shard.safetensors"}}
    source = ROOT / "fixtures" / "models" / "pythia" / "base-small"
    tokenizer = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer["model"] |= {"vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}
    return {
        "model/model.safetensors": struct.pack("<Q", len(text)) + text + weights.tobytes(),
        "model/model.safetensors.index.json": json.dumps(index).encode(),
        "model/config.json": (source / "config.json").read_bytes(),
        "model/tokenizer.json": json.dumps(tokenizer).encode(),
        "model/tokenizer_config.json": (source / "tokenizer_config.json").read_bytes(),
        "model/kdmem_run.json": (RECORDS / "kdmem_run.json").read_bytes(),
    }


def _shortened(value: Any) -> Any:
    """JSON whose long lists hold a few values, of which a damaged one is read soon."""
    if isinstance(value, dict):
        return {
            key: entry if key in ("edges", "margins", "counts") else _shortened(entry) for key, entry in value.items()
        }
    return [_shortened(entry) for entry in value[:8]] if isinstance(value, list) else value


def _without(files: dict[str, bytes], *names: str) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if name not in names}


def _folder_of_datasets() -> dict[str, bytes]:
    state = {"_data_files": [{"filename": "data-0.arrow"}], "_fingerprint": "f", "_split": None}
    table = _arrow(_tables()[0], pa.ipc.new_stream, None)
    return {
        "saved/dataset_dict.json": json.dumps({"splits": ["train"]}).encode(),
        "saved/train/state.json": json.dumps(state).encode(),
        "saved/train/data-0.arrow": table,
    }


def all_readers() -> list[Reader]:
    """Every reader; making the files runs arrow's threads, so that it belongs into a process of its own."""
    lines = b"".join(json.dumps({"id": at, "text": text}).encode() + b"\n" for at, text in enumerate(TEXTS[:12]))
    rows = b"".join(json.dumps({"input_ids": ids, "text": "a"}).encode() + b"\n" for ids in IDS[:12])
    tables = _tables()
    arrow = [
        _arrow(table, new, compression)
        for table in tables
        for new in (pa.ipc.new_file, pa.ipc.new_stream)
        for compression in (None, "zstd", "lz4")
    ]
    parquet = [_parquet(table, compression=kind) for table in tables for kind in ("none", "zstd", "snappy")]
    arrays = [np.array(IDS, kind) for kind in ("<i4", "<u2", ">i8")]
    npy = [_npy(array) for array in (*arrays, np.asfortranarray(arrays[0]), arrays[0][:0])]
    model, saved, tokens = _model(), _folder_of_datasets(), _token_files()
    pair, order = ("a.bin", "a.idx"), [name for name in sorted(tokens) if name.endswith(".npy")]
    in_order = partial(documents, "a.bin", order=next(name for name in order if "shuffle" in name))
    store = RECORDS / "store"
    stored = sorted((store / "scores").rglob("*.parquet"))
    corpora, confirmations = sorted((store / "corpora").iterdir()), sorted((store / "confirmations").iterdir())
    reports = [(REPORTS / name).read_bytes() for name in ("inconclusive.json", "first/red.json")]
    whole = json.loads((REPORTS / "red.json").read_bytes())
    reports += [json.dumps(report).encode() for report in (full_audit().to_json(), _shortened(whole))]
    configuration = (
        b'[tool.pytest]\nkdmem_student = "runs/student"\nkdmem_training_set = "set.jsonl"\nkdmem_prefix_tokens = 50\n'
        b'kdmem_max_memorization_rate = 0.001\nkdmem_offline = true\nkdmem_report = ["a.json"]\n'
    )
    front = b"---\nlicense: mit\nmodel-index:\n- name: a\n  results: []\ntags: [a, b]\n---\n\n# Model\n"
    sources = [b"data/a.jsonl", b"org/model", b"s3://bucket/set?region=a", b"~root/x", b"https://u:p@b/c", b"a" * 300]
    find = {name: partial(documents, name) for name in ("a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "a.txt", "a.csv")}
    return [
        Reader(".jsonl", "a.jsonl", [lines, rows], find["a.jsonl"], json_lines, share=2),
        Reader(".jsonl.gz", "a.jsonl.gz", [lines, rows], find["a.jsonl.gz"], partial(compressed, gzip.compress)),
        Reader(".jsonl.zst", "a.jsonl.zst", [lines, rows], find["a.jsonl.zst"], partial(compressed, _zstd)),
        Reader(".txt", "a.txt", ["\n".join(TEXTS).encode()], find["a.txt"], any_bytes),
        Reader(".csv", "a.csv", [b"text\n" + lines], find["a.csv"], any_bytes, share=0.1),
        Reader(".parquet", "a.parquet", parquet, partial(documents, "a.parquet"), any_bytes, share=3),
        Reader(".arrow", "a.arrow", arrow, partial(documents, "a.arrow"), any_bytes, share=3),
        Reader(".npy", "a.npy", npy, partial(documents, "a.npy"), any_bytes, share=2),
        *(
            Reader(f"flat .bin, {declared}", "a.bin", [array.astype(dtype).tobytes() for array in arrays],
                   partial(documents, "a.bin", dtype=dtype, **declared), any_bytes)
            for dtype, declared in (("uint16", {"form": "blocks"}), ("uint32", {"eos_id": 7}))
        ),
        *(
            Reader(f"pair: {name}", name, [tokens[name]], partial(documents, "a.bin"), any_bytes,
                   {other: tokens[other] for other in pair if other != name}, share)
            for name, share in zip(pair, (1, 2), strict=True)
        ),
        *(
            Reader(f"order: {name.rpartition('map_')[2]}", name, [tokens[name]], in_order, any_bytes,
                   _without(tokens, name))
            for name in order
        ),
        *(
            Reader(f"saved folder: {path.rpartition('/')[2]}", path, [content], partial(documents, "saved"), damage,
                   _without(saved, path))
            for (path, content), damage in zip(saved.items(), (json_or_bytes, json_or_bytes, any_bytes), strict=True)
        ),
        Reader("model.safetensors", "model/model.safetensors", [model["model/model.safetensors"]], checkpoint,
               header_of_weights, _without(model, "model/model.safetensors", "model/model.safetensors.index.json"), 2),
        Reader("index of weights", "model/model.safetensors.index.json", [model["model/model.safetensors.index.json"]],
               checkpoint, json_or_bytes,
               _without(model, "model/model.safetensors", "model/model.safetensors.index.json")
               | {"model/shard.safetensors": model["model/model.safetensors"]}),
        *(
            Reader(name, f"model/{name}", [model[f"model/{name}"]], checkpoint, json_or_bytes,
                   _without(model, f"model/{name}"))
            for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "kdmem_run.json")
        ),
        Reader("predictor", "p.json", [(RECORDS / "predictor.json").read_bytes()],
               lambda folder: read_predictor(folder / "p.json"), with_checksum),
        Reader("report", "report.json", reports, rendered, values_or_json, share=3),
        Reader("page of a report", "report.json", reports, pictured, values_or_json, share=0.02),
        Reader("accepted figures", "a.json", [(RECORDS / "accepted.json").read_bytes()],
               lambda folder: read_accepted(folder / "a.json"), values_or_json),
        Reader("model card", "README.md", [front], card, any_bytes, share=0.5),
        Reader("shard of scores", str(stored[0].relative_to(store)), [path.read_bytes() for path in stored], shard,
               any_bytes),
        Reader("record of a corpus", str(corpora[0].relative_to(store)), [corpora[0].read_bytes()], entries,
               with_entry_checksum),
        Reader("confirmation", str(confirmations[0].relative_to(store)), [confirmations[0].read_bytes()], entries,
               with_entry_checksum),
        Reader("settings", "pyproject.toml", [configuration], settings, any_bytes),
        Reader("study", "study.toml", [path.read_bytes() for path in sorted((ROOT / "studies").glob("*.toml"))],
               study, any_bytes),
        Reader("name of a source", "name", sources, names, any_text),
    ]  # fmt: skip
