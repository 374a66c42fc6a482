"""Whether two training sets may share text, told from what they are declared to be and from the bytes of files."""

from __future__ import annotations

from pathlib import Path

from pytest_kdmem.corpus.object_store import is_uri, list_files
from pytest_kdmem.corpus.presets import HELD_OUT, preset_of, resolve
from pytest_kdmem.corpus.sources import fingerprint
from pytest_kdmem.spec import TrainingSet

WITHOUT_COLUMNS = (".npy", ".txt")
PARTED_FOLDER = "dataset_dict.json"  # what `datasets` writes where splits lie apart


def overlap(one: TrainingSet, other: TrainingSet) -> bool:
    """Whether the same rows are in both, however each is read; unknown is taken for no where only one is on the hub.

    Addresses are compared by the files that they name. Of one hub data set, different splits are apart, and so are the
    two parts of a preset where both are read alike.
    """
    if any(is_uri(data.source) for data in (one, other)):
        return not _files(one).isdisjoint(_files(other))
    paths = [Path(data.source).expanduser().resolve() for data in (one, other)]
    local = [path.exists() for path in paths]
    if all(local):
        return _content(one) == _content(other)
    return not any(local) and _repository(one) == _repository(other) and not _apart(one, other)


def _files(data: TrainingSet) -> set[str]:
    """The files of an address or a path; those of ``file://`` are paths."""
    if is_uri(data.source):
        names = [file.name for file in list_files(data.source)]
        local = data.source.startswith("file://")
        return {str(Path(name.removeprefix("file://")).resolve()) for name in names} if local else set(names)
    path = Path(data.source).expanduser().resolve()
    return {str(file.resolve()) for file in path.rglob("*")} if path.is_dir() else {str(path)}


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
