"""Whether two training sets may share text, told from what they are declared to be and from the bytes of files."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import unquote

from pytest_kdmem.corpus.object_store import is_uri, list_files
from pytest_kdmem.corpus.presets import HELD_OUT, preset_of, resolve
from pytest_kdmem.corpus.sources import ENDINGS, fingerprint, sha256
from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.declared import TrainingSet

WITHOUT_COLUMNS = (".npy", ".txt")
PARTED_FOLDER = "dataset_dict.json"  # what `datasets` writes where splits lie apart
SCHEMES_ALIKE = {"gcs": "gs", "abfss": "abfs"}


def check_control(training_set: TrainingSet, control_set: TrainingSet, *, offline: bool = False) -> None:
    """Raise SpecError where the text that no model should know is what they were trained on."""
    if overlap(training_set, control_set, offline=offline):
        raise SpecError(
            f"Text that no model was trained on was expected as control set, and {control_set.source} is the training"
            " set; hold some text out."
        )


def overlap(one: TrainingSet, other: TrainingSet, *, offline: bool = False) -> bool:
    """Whether the same rows are in both, however each is read; unknown is taken for no between places of two kinds.

    Files on a disk are compared by their bytes, and those of one kind of object store by their names; ``offline``, the
    addresses are all that is compared of these. Of one hub data set, different splits are apart, and so are the two
    parts of a preset where both are read alike.

    Raises:
        DataError: an address names no files, or they cannot be listed.
    """
    kinds = {_kind(data) for data in (one, other)}
    if len(kinds) > 1:
        return False
    match kinds.pop():
        case "hub":
            return _repository(one) == _repository(other) and not _apart(one, other)
        case "file" if is_uri(one.source) or is_uri(other.source):
            return not _digests(one).isdisjoint(_digests(other))
        case "file":
            return _content(one) == _content(other)
        case _ if offline or one.source == other.source:
            return _may_meet(_names(one.source), _names(other.source))
        case _:
            first, second = ({file.path for file in list_files(data.source)} for data in (one, other))
            return not first.isdisjoint(second)


def _kind(data: TrainingSet) -> str:
    """``file``, ``hub``, or the scheme of an object store."""
    if is_uri(data.source):
        scheme = data.source.partition("://")[0]
        return SCHEMES_ALIKE.get(scheme, scheme)
    return "file" if Path(data.source).expanduser().exists() else "hub"


def _digests(data: TrainingSet) -> set[str]:
    """Digests of the files that an address or a path on a disk names; empty ones share no text."""
    if is_uri(data.source):
        files = [Path(file.path) for file in list_files(data.source)]
    else:
        path = Path(data.source).expanduser()
        files = [file for file in path.rglob("*") if file.name.endswith(ENDINGS)] if path.is_dir() else [path]
    return {sha256(file) for file in files if file.stat().st_size}


def _names(source: str) -> list[str]:
    """The names on the way to what an address in an object store names."""
    address = source.partition("://")[2].partition("?")[0]
    return [name for name in unquote(address).split("/") if name]


def _may_meet(one: list[str], other: list[str]) -> bool:
    """Whether a file may be at both addresses, or below them."""
    return all(fnmatchcase(a, b) or fnmatchcase(b, a) for a, b in zip(one, other, strict=False))


def _content(data: TrainingSet) -> str | None:
    """Fingerprint of what the rows are, and of nothing else."""
    path = Path(data.source).expanduser().resolve()
    return fingerprint(
        TrainingSet(
            str(path),
            text_column="text" if path.name.endswith(WITHOUT_COLUMNS) else data.text_column,
            split=data.split if (path / PARTED_FOLDER).is_file() else "train",
        )
    )


def _repository(data: TrainingSet) -> str:
    preset = preset_of(data.source)
    return (preset.repository if preset else data.source).casefold()


def _apart(one: TrainingSet, other: TrainingSet) -> bool:
    """Whether two reads of one hub data set have no row in common."""
    first, second = (resolve(data)[0] for data in (one, other))
    splits = _splits(first.split), _splits(second.split)
    if not splits[0] & splits[1] and "all" not in splits[0] | splits[1]:
        return True
    is_part = all(preset_of(data.source) and data.split == "train" for data in (one, other))
    held_out = [data.source.endswith(HELD_OUT) for data in (one, other)]
    # With what tells which rows are long enough, and where the other part begins.
    alike = ("source", "config", "revision", "add_special_tokens", "documents", "split")
    return is_part and held_out[0] != held_out[1] and all(getattr(first, k) == getattr(second, k) for k in alike)


def _splits(split: str) -> set[str]:
    """The splits that one expression names: ``train[:10%]+validation`` names two."""
    return {part.split("[")[0].strip() for part in split.split("+")}
