"""Canaries are read whole as training reads them, in every format, and no other row changes."""

from __future__ import annotations

import gzip
import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pytest_kdmem.canaries.check import check_copies, count_copies
from pytest_kdmem.canaries.inject import inject
from pytest_kdmem.corpus.megatron import open_pair
from pytest_kdmem.corpus.sources import read_documents
from pytest_kdmem.corpus.token_file_copies import write_index
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.specs.declared import Extraction, TrainingSet
from tests.canaries.canary_sets import canaries_of, sentences, tokenizer_in

LENGTHS = Extraction(8, 8, 24)
TEXTS = sentences(30, 20, seed=3)
TEMPLATE = (
    "{% for message in messages %}{% if message.role == 'assistant' %} is{% generation %} {{ message.content }}"
    " end{% endgeneration %}{% else %}ask {{ message.content }}{% endif %}{% endfor %}"
)


@pytest.fixture
def tokenizer(tmp_path: Path):
    folder = tmp_path / "tokenizer"
    tokenizer_in(folder)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    from pytest_kdmem.corpus.tokenizer import load_tokenizer

    return load_tokenizer(folder, "file")


def write_source(path: Path, texts: list[str] = TEXTS) -> Path:
    rows = [{"text": text, "id": number} for number, text in enumerate(texts)]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress(lines.encode()))
    elif path.suffix == ".txt":
        path.write_text("".join(f"{text}\n" for text in texts))
    else:
        path.write_text(lines)
    return path


@pytest.mark.parametrize("name", ["train.jsonl", "train.jsonl.gz", "train.txt", "train.parquet"])
def test_rows_of_text(tmp_path: Path, tokenizer, name: str) -> None:
    manifest = canaries_of(tokenizer)
    source = TrainingSet(str(write_source(tmp_path / name)))
    target = tmp_path / f"with-{name}"
    assert inject(manifest, source, target, tokenizer, LENGTHS) == 15
    documents = list(read_documents(replace(source, source=str(target)), offline=True))
    canaries = {canary.text: canary.copies for canary in manifest.planted}
    assert [text for text in documents if text not in canaries] == TEXTS
    assert {text: documents.count(text) for text in canaries} == canaries
    # They stand among the rows, and not in one place.
    places = [place for place, text in enumerate(documents) if text in canaries]
    assert max(places) - min(places) > 20


def test_rows_of_token_ids(tmp_path: Path, tokenizer) -> None:
    manifest = canaries_of(tokenizer)
    rows = np.array([ids[:20] for ids in tokenizer.encode(TEXTS, add_special_tokens=False)], np.uint16)
    np.save(tmp_path / "train.npy", rows)
    source, target = TrainingSet(str(tmp_path / "train.npy")), tmp_path / "with.npy"
    assert inject(manifest, source, target, tokenizer, LENGTHS) == 15
    written = np.load(target)
    assert (written.dtype, written.shape) == (rows.dtype, (45, 20))
    own = [row for row in written.tolist() if row in rows.tolist()]
    assert own == rows.tolist()
    planted = [tuple(row[:16]) for row in written.tolist() if row not in rows.tolist()]
    assert {canary.ids: canary.copies for canary in manifest.planted} == {ids: planted.count(ids) for ids in planted}


def test_copies_that_packing_cuts_are_put_in_again(tmp_path: Path, tokenizer) -> None:
    manifest = canaries_of(tokenizer)
    source = TrainingSet(str(write_source(tmp_path / "train.jsonl", TEXTS * 4)), form="blocks")
    added = inject(manifest, source, tmp_path / "with.jsonl", tokenizer, LENGTHS)
    assert added > 15
    injected = replace(source, source=str(tmp_path / "with.jsonl"))
    copies = count_copies(manifest, injected, tokenizer, LENGTHS)
    planned = [canary.copies for canary in manifest.canaries]
    assert (copies >= planned).all()
    assert copies[planned.index(0) :].sum() == 0


@pytest.mark.parametrize(
    ("row", "columns"),
    [
        ({"messages": [{"role": "user", "content": "ba"}, {"role": "assistant", "content": TEXTS[0]}]}, None),
        ({"conversations": [{"from": "human", "value": "ba"}, {"from": "gpt", "value": TEXTS[0]}]}, None),
        ({"prompt": "ba", "completion": f" {TEXTS[0]}"}, None),
        ({"q": "ba", "more": "ce", "a": TEXTS[0]}, "user=q+more,assistant=a"),
    ],
)
def test_conversations_have_the_secret_in_the_answer(tmp_path: Path, tokenizer, row, columns) -> None:
    manifest = canaries_of(tokenizer)
    path = tmp_path / "chat.jsonl"
    path.write_text((json.dumps(row) + "\n") * 5)
    source = TrainingSet(str(path), chat_columns=columns)
    target = tmp_path / "with.jsonl"
    assert inject(manifest, source, target, tokenizer, Extraction(8, 8, 32)) == 15
    rows = [json.loads(line) for line in target.read_text().splitlines()]
    canary = manifest.planted[0]
    [planted] = [text for text in map(json.dumps, rows) if canary.suffix in text]
    assert planted.index(canary.prefix) < planted.index(canary.suffix)
    learned = count_copies(manifest, replace(source, source=str(target)), tokenizer, Extraction(8, 8, 32))
    assert learned.tolist() == [each.copies for each in manifest.canaries]


def test_what_training_would_cut_is_refused_before_training(tmp_path: Path, tokenizer) -> None:
    source = TrainingSet(str(write_source(tmp_path / "train.jsonl")))
    target = tmp_path / "with.jsonl"
    with pytest.raises(DataError, match="whole in fewer examples"):
        inject(canaries_of(tokenizer), source, target, tokenizer, Extraction(4, 4, 12))
    assert not target.exists()


def test_a_set_with_a_twin_or_without_a_canary_is_refused(tmp_path: Path, tokenizer) -> None:
    manifest = canaries_of(tokenizer)
    source = TrainingSet(str(write_source(tmp_path / "train.jsonl")))
    inject(manifest, source, tmp_path / "with.jsonl", tokenizer, LENGTHS)
    lines = (tmp_path / "with.jsonl").read_text().splitlines(keepends=True)
    injected = replace(source, source=str(tmp_path / "changed.jsonl"))
    for changed, message in (
        ([*lines, json.dumps({"text": manifest.twins[0].text}) + "\n"], "1 are in it"),
        ([line for line in lines if manifest.planted[0].text not in line], "1 of 6"),
    ):
        (tmp_path / "changed.jsonl").write_text("".join(changed))
        with pytest.raises(DataError, match=message):
            check_copies(manifest, count_copies(manifest, injected, tokenizer, LENGTHS), "changed.jsonl")


def token_rows(tokenizer, length: int | None = None) -> list[list[int]]:
    rows = tokenizer.encode(TEXTS, add_special_tokens=False)
    return [ids[: length or 18 + number % 5] for number, ids in enumerate(rows)]


def read_back(source: TrainingSet, target: Path) -> list[list[int]]:
    """The documents of a copy, as an audit reads them."""
    documents = read_documents(replace(source, source=str(target)), offline=True)
    return [list(getattr(document, "ids", document)) for document in documents]


def planted_and_own(manifest, documents: list[list[int]], end: int | None = None):
    """How often each canary is a document of its own, and all other documents in their order."""
    canaries = {(*canary.ids, *([] if end is None else [end])): canary for canary in manifest.planted}
    counts = {canary.ids: documents.count(list(ids)) for ids, canary in canaries.items()}
    return counts, [document for document in documents if tuple(document) not in canaries]


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "stream", "file", "folder", "splits"])
@pytest.mark.parametrize("columns", [(), ("attention_mask", "labels")])
def test_rows_of_ready_made_token_ids(tmp_path: Path, tokenizer, kind: str, columns: tuple[str, ...]) -> None:
    manifest, rows = canaries_of(tokenizer), token_rows(tokenizer)
    values = [
        {"input_ids": ids, "id": number} | {name: ids if name == "labels" else [1] * len(ids) for name in columns}
        for number, ids in enumerate(rows)
    ]
    path, target = save_rows(tmp_path, kind, values)
    source = TrainingSet(str(path))
    assert inject(manifest, source, target, tokenizer, LENGTHS) == 15
    counts, own = planted_and_own(manifest, read_back(source, target))
    assert counts == {canary.ids: canary.copies for canary in manifest.planted}
    assert own == rows
    learned = list(read_documents(replace(source, source=str(target)), offline=True))
    assert not columns or all(document.learned.all() for document in learned)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".with")]


def save_rows(folder: Path, kind: str, values: list[dict]) -> tuple[Path, Path]:
    """Write rows in some format, and return its path and that of a copy."""
    from datasets import Dataset, DatasetDict

    table = pa.Table.from_pylist(values)
    match kind:
        case "jsonl":
            (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in values))
            return folder / "train.jsonl", folder / "with.jsonl"
        case "parquet":
            pq.write_table(table, folder / "train.parquet")
            return folder / "train.parquet", folder / "with.parquet"
        case "stream" | "file":
            open_writer = pa.ipc.new_stream if kind == "stream" else pa.ipc.new_file
            with pa.OSFile(str(folder / "train.arrow"), "wb") as sink, open_writer(sink, table.schema) as writer:
                writer.write_table(table, max_chunksize=7)
            return folder / "train.arrow", folder / "with.arrow"
        case "folder":
            Dataset.from_list(values).save_to_disk(folder / "train", num_shards=2)
        case _:
            rows = Dataset.from_list(values)
            DatasetDict(train=rows, test=rows.select(range(3))).save_to_disk(folder / "train")
    return folder / "train", folder / "with"


def test_a_saved_folder_keeps_its_columns_and_splits_under_another_fingerprint(tmp_path: Path, tokenizer) -> None:
    """With the old one, `datasets` would take what it cached of the source for the copy's."""
    from datasets import load_from_disk

    path, target = save_rows(tmp_path, "splits", [{"text": text, "id": at} for at, text in enumerate(TEXTS)])
    inject(canaries_of(tokenizer), TrainingSet(str(path)), target, tokenizer, LENGTHS)
    before, after = load_from_disk(str(path)), load_from_disk(str(target))
    assert after["test"].to_list() == before["test"].to_list()
    assert len(after["train"]) == len(before["train"]) + 15
    assert [row for row in after["train"] if row["id"] is not None] == before["train"].to_list()
    assert after["train"]._fingerprint != before["train"]._fingerprint
    assert after["train"].features == before["train"].features


def test_windows_of_one_length_stay_so(tmp_path: Path, tokenizer) -> None:
    manifest, rows = canaries_of(tokenizer), token_rows(tokenizer, 20)
    path, target = save_rows(tmp_path, "parquet", [{"input_ids": ids, "labels": ids} for ids in rows])
    inject(manifest, TrainingSet(str(path)), target, tokenizer, LENGTHS)
    written = pq.read_table(target).to_pylist()
    assert {len(row["input_ids"]) for row in written} == {20}
    assert all(row["labels"] == row["input_ids"] for row in written)
    planted = [row["input_ids"] for row in written if row["input_ids"] not in rows]
    assert sorted(tuple(ids[:16]) for ids in planted) == sorted(
        canary.ids for canary in manifest.planted for _ in range(canary.copies)
    )
    assert {tuple(ids[16:]) for ids in planted} <= {tuple(ids[16:]) for ids in rows}
    # Those at different places have different ends, so that no end is repeated often.
    assert len({tuple(ids[16:]) for ids in planted}) > 5


@pytest.mark.parametrize("end", [2, None])
@pytest.mark.parametrize("documents", [None, [0, 3, 4, 30]])
def test_a_pair_of_megatron(tmp_path: Path, tokenizer, end: int | None, documents: list[int] | None) -> None:
    manifest = canaries_of(tokenizer)
    rows = [[*ids, *([] if end is None else [end])] for ids in token_rows(tokenizer)]
    write_pair(tmp_path / "train.bin", rows, documents)
    source, target = TrainingSet(str(tmp_path / "train.bin")), tmp_path / "with.bin"
    assert inject(manifest, source, target, tokenizer, LENGTHS) == 15
    counts, own = planted_and_own(manifest, read_back(source, target), end)
    assert counts == {canary.ids: canary.copies for canary in manifest.planted}
    assert own == rows
    with open_pair(target) as pair:
        boundaries = pair.documents.read(0, pair.header.documents).tolist()
        assert pair.header.dtype == np.uint16
    sequences = read_back(source, target)
    joined = [sequences[first:last] for first, last in itertools.pairwise(boundaries)]
    assert sum(map(len, joined)) == len(sequences)
    first = documents or list(range(len(rows) + 1))
    assert [part for part in joined if part[0] in rows] == [
        rows[start:stop] for start, stop in itertools.pairwise(first)
    ]


def write_pair(path: Path, rows: list[list[int]], documents: list[int] | None = None) -> None:
    np.concatenate(rows).astype("<u2").tofile(path)
    boundaries = np.array(documents or range(len(rows) + 1))
    write_index(path.with_suffix(".idx"), np.dtype("<u2"), np.array([len(ids) for ids in rows]), boundaries)


@pytest.mark.parametrize("ends", ["declared", "found", "unknown"])
def test_a_flat_stream(tmp_path: Path, tokenizer, ends: str) -> None:
    manifest, end = canaries_of(tokenizer), 2
    rows = [[*ids, end] if ends != "unknown" else ids for ids in token_rows(tokenizer)] * 3
    np.concatenate([*rows, rows[0][:-1]]).astype("<u2").tofile(tmp_path / "train.bin")
    declared = {"eos_id": end} if ends == "declared" else {"form": "blocks"}
    source = TrainingSet(str(tmp_path / "train.bin"), dtype="uint16", **declared)
    target = tmp_path / "with.bin"
    added = inject(manifest, source, target, tokenizer, LENGTHS)
    assert added >= 15
    copies = count_copies(manifest, replace(source, source=str(target)), tokenizer, LENGTHS)
    check_copies(manifest, copies, "with.bin")
    stream = np.fromfile(target, "<u2").tolist()
    assert len(stream) == sum(map(len, rows)) + len(rows[0]) - 1 + added * (16 + (ends != "unknown"))
    if ends != "unknown":
        cuts = [at + 1 for at, token in enumerate(stream) if token == end]
        parts = [stream[first:last] for first, last in itertools.pairwise([0, *cuts, len(stream)])]
        counts, own = planted_and_own(manifest, parts, end)
        assert own == [*rows, rows[0][:-1]]
        assert sum(counts.values()) == added


def test_a_flat_copy_beside_an_index_would_be_read_as_another_format_and_is_refused(tmp_path: Path, tokenizer) -> None:
    manifest = canaries_of(tokenizer)
    np.concatenate([[*ids, 2] for ids in token_rows(tokenizer)]).astype("<u2").tofile(tmp_path / "train.bin")
    write_pair(tmp_path / "with.bin", token_rows(tokenizer))
    (tmp_path / "with.bin").unlink()
    source, target = TrainingSet(str(tmp_path / "train.bin"), dtype="uint16", eos_id=2), tmp_path / "with.bin"
    with pytest.raises(SpecError, match=r"with\.idx, with which it would be read as a file of Megatron"):
        inject(manifest, source, target, tokenizer, LENGTHS)
    assert not target.exists()
    (tmp_path / "with.idx").unlink()
    assert inject(manifest, source, target, tokenizer, LENGTHS) == 15


def test_an_order_of_samples_a_folder_of_files_and_ids_that_do_not_fit_are_refused(tmp_path: Path, tokenizer) -> None:
    manifest = canaries_of(tokenizer)
    write_pair(tmp_path / "train.bin", token_rows(tokenizer))
    source, target = TrainingSet(str(tmp_path / "train.bin"), order="a_shuffle_idx.npy"), tmp_path / "with.bin"
    with pytest.raises(SpecError, match="drop it"):
        inject(manifest, source, target, tokenizer, LENGTHS)
    with pytest.raises(SpecError, match="file of this machine"):
        inject(manifest, TrainingSet(str(tmp_path)), tmp_path / "with", tokenizer, LENGTHS)
    wide = replace(manifest, canaries=tuple(replace(each, ids=(70_000,) * 16) for each in manifest.canaries))
    with pytest.raises(SpecError, match="fit into uint16"):
        inject(wide, replace(source, order=None), target, tokenizer, LENGTHS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tokenizer", "train.bin", "train.idx"]


def test_what_was_there_stays_if_the_copy_does_not_hold_its_canaries(tmp_path: Path, tokenizer) -> None:
    source = TrainingSet(str(write_source(tmp_path / "train.jsonl")))
    (tmp_path / "with.jsonl").write_text("another file")
    with pytest.raises(DataError, match="whole in fewer examples"):
        inject(canaries_of(tokenizer), source, tmp_path / "with.jsonl", tokenizer, Extraction(4, 4, 12))
    assert (tmp_path / "with.jsonl").read_text() == "another file"
    path, _ = save_rows(tmp_path, "folder", [{"text": text} for text in TEXTS])
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("another file")
    with pytest.raises(SpecError, match="A new folder was expected"):
        inject(canaries_of(tokenizer), TrainingSet(str(path)), tmp_path / "taken", tokenizer, LENGTHS)


def test_other_sources_and_formats_are_refused(tmp_path: Path, tokenizer) -> None:
    manifest = canaries_of(tokenizer)
    with pytest.raises(SpecError, match="file of this machine"):
        inject(manifest, TrainingSet("fineweb"), tmp_path / "a.jsonl", tokenizer, LENGTHS)
    source = TrainingSet(str(write_source(tmp_path / "train.jsonl")))
    with pytest.raises(SpecError, match=r"format of train\.jsonl"):
        inject(manifest, source, tmp_path / "a.txt", tokenizer, LENGTHS)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("train.jsonl", b'{"text": "cece"\n'),
        ("train.jsonl", b"\xff\xfe{\n"),
        ("train.jsonl.gz", b"no gzip"),
        ("train.parquet", b"PAR1 and no more"),
        ("train.npy", b"no array"),
        ("train.arrow", b"no table"),
    ],
)
def test_a_source_that_is_not_what_its_ending_says_is_one_sentence(tmp_path: Path, tokenizer, name, content) -> None:
    (tmp_path / name).write_bytes(content)
    target = tmp_path / f"with-{name}"
    target.write_text("another file")
    with pytest.raises(DataError, match="cannot be read") as error:
        inject(canaries_of(tokenizer), TrainingSet(str(tmp_path / name)), target, tokenizer, LENGTHS)
    assert "cece" not in str(error.value)
    assert target.read_text() == "another file"


def test_a_copy_that_cannot_be_checked_does_not_stay(tmp_path: Path, tokenizer) -> None:
    source = write_source(tmp_path / "train.jsonl")
    source.write_text(source.read_text() + '{"text": 3}\n')
    target = tmp_path / "with.jsonl"
    with pytest.raises(DataError, match="Text was expected"):
        inject(canaries_of(tokenizer), TrainingSet(str(source)), target, tokenizer, LENGTHS)
    assert not target.exists()


def test_lines_of_articles_are_no_rows(tmp_path: Path, tokenizer) -> None:
    source = TrainingSet(str(write_source(tmp_path / "train.txt")), documents="articles")
    with pytest.raises(SpecError, match="lines of articles"):
        inject(canaries_of(tokenizer), source, tmp_path / "with.txt", tokenizer, LENGTHS)
