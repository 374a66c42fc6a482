"""Reads .bin files of token ids: Megatron's, with an index beside them, and flat ones, of which all is declared.

A folder of such files is their contents one after another, in the order of their names; so are the files that an
address names by a pattern.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pytest_kdmem.base.addresses import is_address
from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.base.paths import exists, is_file, is_folder, local_path
from pytest_kdmem.corpus.arrow_files import SPLITS, STATE
from pytest_kdmem.corpus.file_lines import UNREADABLE, first_line
from pytest_kdmem.corpus.flat_files import check_flat, number_of_tokens, read_flat
from pytest_kdmem.corpus.megatron import INDEX, index_path, open_pair, read_pair
from pytest_kdmem.corpus.number_files import BinaryFile, is_there
from pytest_kdmem.corpus.object_store import TOKENS, check_reachable, list_files, names_token_files
from pytest_kdmem.corpus.sample_order import check_order, number_of_samples, order_paths, read_in_order
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.specs.declared import TrainingSet

ENDING = TOKENS


def is_token_folder(path: Path) -> bool:
    """Whether a folder holds .bin files, and was not saved by `datasets`."""
    return is_folder(path) and not any(is_file(path / name) for name in (SPLITS, STATE)) and bool(_files_in(path))


def is_token_file(training_set: TrainingSet) -> bool:
    """Whether a source is named as a .bin file, or is a folder of such files."""
    if is_address(training_set.source):
        return names_token_files(training_set.source)
    return training_set.source.endswith(ENDING) or is_token_folder(local_path(training_set.source))


def is_flat(training_set: TrainingSet) -> bool:
    """Whether a source is a .bin file without an index, or a folder of such files.

    Raises:
        DataError: It is at an address that cannot be read.
    """
    paths = _bin_files(training_set) if is_token_file(training_set) else []
    with _as_data_error(training_set.source):
        return bool(paths) and all(is_there(path) and not _has_index(path) for path in paths)


def is_stream(training_set: TrainingSet) -> bool:
    """Whether what is read are parts of one stream of tokens, which is cut into windows where it stands."""
    return training_set.form == "blocks" and is_flat(training_set)


def _bin_files(training_set: TrainingSet) -> Sequence[BinaryFile]:
    """The .bin files of a source, in order: itself, those in a folder, or those that an address names."""
    if is_address(training_set.source):
        return list_files(training_set.source)
    path = local_path(training_set.source)
    return _files_in(path) if is_folder(path) else [path]


def _has_index(path: BinaryFile) -> bool:
    index = index_path(path)
    return exists(index) if isinstance(index, Path) else is_there(index)


def _files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob(f"*{ENDING}") if is_file(path))


def check_pair_is_whole(path: Path) -> None:
    """Raise DataError if a path names a pair of files, and not by its .bin file, or if that is missing."""
    if not path.name or (exists(path) and not path.name.endswith(INDEX)):
        return
    bin_path = path.with_name(f"{path.name.removesuffix(INDEX).removesuffix(ENDING)}{ENDING}")
    if path.name.endswith(INDEX) or is_file(index_path(bin_path)):
        if is_file(bin_path):
            raise DataError(f"The .bin file of a pair was expected as its name; found {path}: name {bin_path}.")
        raise DataError(
            f"The token ids {bin_path} were expected beside their index {index_path(bin_path)}, and are missing; put"
            " them there, or name another training set."
        )


def check_token_file(training_set: TrainingSet) -> None:
    """Check a .bin file, or those in a folder or at an address, without reading them.

    Raises:
        DataError: The files are damaged, or do not belong together.
        SpecError: What is declared of them is missing, or contradicts them.
    """
    source, paths = training_set.source, _bin_files(training_set)
    with _as_data_error(source):
        if len({_has_index(bin_path) for bin_path in paths}) > 1:
            raise DataError(
                f"Flat .bin files or pairs with their .idx files were expected in {source}, which holds both; move one"
                " kind into a folder of its own."
            )
        if training_set.order is not None and is_folder(local_path(source)):
            raise SpecError(
                f"One .bin file was expected with the order of its samples, and {source} is a folder; name the file"
                f" that {training_set.order} belongs to."
            )
        flat = is_flat(training_set)
        for bin_path in paths:
            if flat:
                check_flat(bin_path, training_set)
            else:
                _check_pair(bin_path, training_set)


def _check_pair(path: BinaryFile, training_set: TrainingSet) -> None:
    with open_pair(path) as pair:
        dtype = pair.header.dtype
    if training_set.dtype not in (None, dtype.name):
        raise SpecError(
            f"Type {dtype.name}, which {index_path(path)} names, was expected of {path}; found"
            f' dtype="{training_set.dtype}": drop it.'
        )
    if training_set.eos_id is not None:
        raise SpecError(
            f"Documents of {path} were expected to end where {index_path(path)} says; found eos_id"
            f" {training_set.eos_id}, which is of flat files: drop it."
        )
    if training_set.order is None:
        return
    if training_set.form == "blocks":
        raise SpecError(
            f"Samples that are cut already were expected of {path} in the order of {training_set.order}; drop"
            ' form="blocks".'
        )
    if isinstance(path, Path):  # no other has an order
        check_order(path, training_set.order)


def read_token_file(training_set: TrainingSet) -> Iterator[TokenIds]:
    """The documents of .bin files, or the samples of a training in its order, or parts of a stream.

    Raises:
        DataError: The files are damaged, or hold what is no token id.
    """
    flat = is_flat(training_set)
    with _as_data_error(training_set.source):
        for bin_path in _bin_files(training_set):
            if flat:
                yield from read_flat(bin_path, training_set)
            elif training_set.order is not None and isinstance(bin_path, Path):
                yield from read_in_order(bin_path, training_set.order)
            else:
                yield from read_pair(bin_path)


def read_tokens_at_address(training_set: TrainingSet, *, offline: bool) -> Iterator[TokenIds]:
    """Check the .bin files at an address, and read them.

    Raises:
        DataError: They cannot be read, are damaged, or ``offline`` forbids it.
        SpecError: What is declared of them is missing, or contradicts them.
    """
    check_reachable(training_set, offline=offline)
    check_token_file(training_set)
    return read_token_file(training_set)


@contextmanager
def _as_data_error(source: str) -> Iterator[None]:
    try:
        yield
    except UNREADABLE as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise DataError(f"{source} was expected to be readable, and is not ({reason}).") from None


def files_of(training_set: TrainingSet) -> list[Path]:
    """Every file of this machine that the token ids of a source follow from, in order.

    Raises:
        DataError: A file of the order is missing.
    """
    flat = is_flat(training_set)
    paths = [path if isinstance(path, Path) else Path(path.path) for path in _bin_files(training_set)]
    files = paths if flat else [file for bin_path in paths for file in (bin_path, index_path(bin_path))]
    return [*files, *(order_paths(training_set.order) if training_set.order is not None else ())]


def declared_of(training_set: TrainingSet) -> list[object]:
    """What is declared of a flat file and decides which token ids its bytes are; nothing of other sources."""
    return [training_set.dtype, training_set.eos_id] if is_flat(training_set) else []


def number_of_examples(training_set: TrainingSet, window: int | None) -> int | None:
    """The number of examples of .bin files, if it follows from the sizes of its files.

    Raises:
        DataError: The files are damaged.
    """
    if training_set.order is not None:
        return number_of_samples(training_set.order)
    paths = _bin_files(training_set)
    if not is_flat(training_set):
        return sum(map(_number_of_sequences, paths)) if training_set.form == "documents" else None
    if training_set.form == "blocks" and window is not None and training_set.dtype is not None:
        return -(-sum(number_of_tokens(bin_path, training_set) for bin_path in paths) // window)
    return None


def _number_of_sequences(path: BinaryFile) -> int:
    with open_pair(path) as pair:
        return pair.header.sequences
