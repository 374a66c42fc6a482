"""Detects training sets that may share text, by their declarations and by the bytes of their files."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import unquote

from pytest_kdmem.base.addresses import is_address
from pytest_kdmem.base.digests import file_digest
from pytest_kdmem.base.paths import exists, local_path
from pytest_kdmem.corpus.object_store import list_files
from pytest_kdmem.corpus.presets import HELD_OUT, find_preset, resolve
from pytest_kdmem.corpus.sources import ENDINGS, fingerprint
from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.declared import TrainingSet

WITHOUT_COLUMNS = (".npy", ".txt", ".bin")
SPLITS_FILE = "dataset_dict.json"  # `datasets` writes it to a folder that holds several splits
SAME_SCHEMES = {"gcs": "gs", "abfss": "abfs"}


def check_control(training_set: TrainingSet, control_set: TrainingSet, *, offline: bool = False) -> None:
    """Raise SpecError if the control set, which no model was trained on, overlaps with the training set."""
    if overlap(training_set, control_set, offline=offline):
        raise SpecError(
            f"Text that no model was trained on was expected as control set, and {control_set.source} is the training"
            " set; hold some text out."
        )


def check_teacher_set(
    teacher_set: TrainingSet,
    training_set: TrainingSet | None,
    control_set: TrainingSet | None,
    *,
    offline: bool = False,
) -> None:
    """Raise SpecError if the teacher set, which only the teacher was trained on, is the training set or the control
    set. Single examples of it that stand in the training set are found when it is scored.
    """
    if training_set is not None and _are_one(teacher_set, training_set):
        raise SpecError(
            f"Text that only the teacher was trained on was expected as teacher set, and {teacher_set.source} is the"
            " training set; give what the student did not see."
        )
    if control_set is not None and overlap(teacher_set, control_set, offline=offline):
        raise SpecError(
            f"Text that the teacher was trained on was expected as teacher set, and {teacher_set.source} is the control"
            " set, which no model was trained on; give another as one of the two."
        )


def _are_one(first: TrainingSet, second: TrainingSet) -> bool:
    """Whether two declarations are of all rows of one source, whatever is sampled of them."""
    if _undrawn(first) == _undrawn(second):
        return True
    is_local = all(_kind(data) == "file" and not is_address(data.source) for data in (first, second))
    return is_local and _content(first) == _content(second)


def _undrawn(data: TrainingSet) -> TrainingSet:
    """The whole of a set, whatever is drawn of it."""
    return replace(data, sample=None, seed=0, group_column=None, stratify=None, stratum_sample=None)


def overlap(first: TrainingSet, second: TrainingSet, *, offline: bool = False) -> bool:
    """Whether two training sets hold the same rows, however each of them is read.

    Files on a disk are compared by their bytes, files in object stores of one kind by their paths, or by the addresses
    alone if ``offline``. Different splits of one hub data set do not overlap, nor do the two parts of a preset if both
    are read in the same way. Sets in places of different kinds are taken not to overlap.

    Raises:
        DataError: An address names no files, or they cannot be listed.
    """
    kinds = {_kind(data) for data in (first, second)}
    if len(kinds) > 1:
        return False
    match kinds.pop():
        case "hub":
            return _repository(first) == _repository(second) and not _are_disjoint(first, second)
        case "file" if is_address(first.source) or is_address(second.source):
            return not _digests(first).isdisjoint(_digests(second))
        case "file":
            return _content(first) == _content(second)
        case _ if offline or first.source == second.source:
            return _may_meet(_names(first.source), _names(second.source))
        case _:
            first_paths, second_paths = ({file.path for file in list_files(data.source)} for data in (first, second))
            return not first_paths.isdisjoint(second_paths)


def _kind(data: TrainingSet) -> str:
    """``file``, ``hub``, or the scheme of an object store."""
    if is_address(data.source):
        scheme = data.source.partition("://")[0]
        return SAME_SCHEMES.get(scheme, scheme)
    return "file" if exists(local_path(data.source)) else "hub"


def _digests(data: TrainingSet) -> set[str]:
    """Digests of the files that an address or a path on a disk names; empty files are left out."""
    if is_address(data.source):
        files = [Path(file.path) for file in list_files(data.source)]
    else:
        path = local_path(data.source)
        files = [file for file in path.rglob("*") if file.name.endswith(ENDINGS)] if path.is_dir() else [path]
    return {file_digest(file) for file in files if file.stat().st_size}


def _names(source: str) -> list[str]:
    """The parts of the path in an object store's address."""
    address = source.partition("://")[2].partition("?")[0]
    return [name for name in unquote(address).split("/") if name]


def _may_meet(first: list[str], second: list[str]) -> bool:
    """Whether a file can be at both addresses, or below both."""
    return all(fnmatchcase(a, b) or fnmatchcase(b, a) for a, b in zip(first, second, strict=False))


def _content(data: TrainingSet) -> str | None:
    """Fingerprint of the rows, whatever is sampled of them or however they become examples."""
    path = local_path(data.source).resolve()
    return fingerprint(
        TrainingSet(
            str(path),
            text_column="text" if path.name.endswith(WITHOUT_COLUMNS) else data.text_column,
            split=data.split if (path / SPLITS_FILE).is_file() else "train",
        )
    )


def _repository(data: TrainingSet) -> str:
    preset = find_preset(data.source)
    return (preset.repository if preset else data.source).casefold()


def _are_disjoint(first: TrainingSet, second: TrainingSet) -> bool:
    """Whether two reads of one hub data set have no row in common."""
    first_read, second_read = (resolve(data)[0] for data in (first, second))
    splits = _splits(first_read.split), _splits(second_read.split)
    if not splits[0] & splits[1] and "all" not in splits[0] | splits[1]:
        return True
    is_part = all(find_preset(data.source) and data.split == "train" for data in (first, second))
    held_out = [data.source.endswith(HELD_OUT) for data in (first, second)]
    # These decide which rows are long enough, and so where the held-out part begins.
    deciding = ("source", "config", "revision", "add_special_tokens", "tokenizer", "documents", "split")
    is_read_alike = all(getattr(first_read, name) == getattr(second_read, name) for name in deciding)
    return is_part and held_out[0] != held_out[1] and is_read_alike


def _splits(split: str) -> set[str]:
    """The splits that one expression names: ``train[:10%]+validation`` names two."""
    return {part.split("[")[0].strip() for part in split.split("+")}
