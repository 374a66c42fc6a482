"""Every reader of the package, with valid files to damage."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from pytest_kdmem.auditing.regression.baseline_file import read_accepted
from pytest_kdmem.risk.predictor_file import read_predictor
from tests.conftest import ROOT
from tests.fuzz import valid_files as files
from tests.fuzz.damages import (
    Damage,
    any_bytes,
    any_text,
    compressed,
    header_of_weights,
    json_lines,
    json_or_bytes,
    values_or_json,
    with_checksum,
    with_entry_checksum,
)
from tests.fuzz.readings import (
    REPORTS,
    adapter,
    card,
    checkpoint,
    documents,
    entries,
    names,
    pictured,
    rendered,
    settings,
    shard,
    study,
)
from tests.report.audits import full_audit


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


def all_readers() -> list[Reader]:
    """Every reader; making the files runs arrow's threads, so that it belongs into a process of its own."""
    lines = b"".join(json.dumps({"id": at, "text": text}).encode() + b"\n" for at, text in enumerate(files.TEXTS[:12]))
    rows = b"".join(json.dumps({"input_ids": ids, "text": "a"}).encode() + b"\n" for ids in files.IDS[:12])
    tables = files.tables()
    arrow = [
        files.arrow(table, new, compression)
        for table in tables
        for new in (pa.ipc.new_file, pa.ipc.new_stream)
        for compression in (None, "zstd", "lz4")
    ]
    parquet = [files.parquet(table, compression=kind) for table in tables for kind in ("none", "zstd", "snappy")]
    arrays = [np.array(files.IDS, kind) for kind in ("<i4", "<u2", ">i8")]
    npy = [files.npy(array) for array in (*arrays, np.asfortranarray(arrays[0]), arrays[0][:0])]
    model, saved, tokens = files.model(), files.folder_of_datasets(), files.token_files()
    adapted = files.adapter()
    pair, order = ("a.bin", "a.idx"), [name for name in sorted(tokens) if name.endswith(".npy")]
    in_order = partial(documents, "a.bin", order=next(name for name in order if "shuffle" in name))
    store = files.RECORDS / "store"
    stored = sorted((store / "scores").rglob("*.parquet"))
    corpora, confirmations = sorted((store / "corpora").iterdir()), sorted((store / "confirmations").iterdir())
    reports = [(REPORTS / name).read_bytes() for name in ("inconclusive.json", "first/red.json")]
    whole = json.loads((REPORTS / "red.json").read_bytes())
    reports += [json.dumps(report).encode() for report in (full_audit().to_json(), files.shortened(whole))]
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
        Reader(".jsonl.zst", "a.jsonl.zst", [lines, rows], find["a.jsonl.zst"], partial(compressed, files.zstd)),
        Reader(".txt", "a.txt", ["\n".join(files.TEXTS).encode()], find["a.txt"], any_bytes),
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
                   files.without(tokens, name))
            for name in order
        ),
        *(
            Reader(f"saved folder: {path.rpartition('/')[2]}", path, [content], partial(documents, "saved"), damage,
                   files.without(saved, path))
            for (path, content), damage in zip(saved.items(), (json_or_bytes, json_or_bytes, any_bytes), strict=True)
        ),
        Reader("model.safetensors", "model/model.safetensors", [model["model/model.safetensors"]], checkpoint,
               header_of_weights, files.without(model, "model/model.safetensors", "model/model.safetensors.index.json"),
               2),
        Reader("index of weights", "model/model.safetensors.index.json", [model["model/model.safetensors.index.json"]],
               checkpoint, json_or_bytes,
               files.without(model, "model/model.safetensors", "model/model.safetensors.index.json")
               | {"model/shard.safetensors": model["model/model.safetensors"]}),
        *(
            Reader(name, f"model/{name}", [model[f"model/{name}"]], checkpoint, json_or_bytes,
                   files.without(model, f"model/{name}"))
            for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "kdmem_run.json")
        ),
        *(
            Reader(f"adapter: {name}", f"adapter/{name}", [adapted[f"adapter/{name}"]], adapter, damage,
                   files.without(adapted, f"adapter/{name}"))
            for name, damage in (
                ("adapter_config.json", values_or_json), ("adapter_model.safetensors", header_of_weights)
            )
        ),
        Reader("predictor", "p.json", [(files.RECORDS / "predictor.json").read_bytes()],
               lambda folder: read_predictor(folder / "p.json"), with_checksum),
        Reader("report", "report.json", reports, rendered, values_or_json, share=3),
        Reader("page of a report", "report.json", reports, pictured, values_or_json, share=0.02),
        Reader("accepted figures", "a.json", [(files.RECORDS / "accepted.json").read_bytes()],
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
