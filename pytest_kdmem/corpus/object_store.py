"""Lists and reads the files that a URI names in an object store or another shared file system."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import partial

from pyarrow.fs import FileInfo, FileSelector, FileSystem, FileType

from pytest_kdmem.base.addresses import check_address
from pytest_kdmem.corpus.file_lines import UNREADABLE, File, first_line
from pytest_kdmem.corpus.formats import STREAMED, DocumentReader, find_ending, read_file
from pytest_kdmem.corpus.read_meter import ReadMeter
from pytest_kdmem.corpus.row_reader import columns_of
from pytest_kdmem.errors import DataError
from pytest_kdmem.specs.declared import TrainingSet

# Ending of files of token ids, which a URI names as such.
TOKENS = ".bin"
# Endings of files that may hold data and are not read.
OTHER_DATA = tuple(
    ".gz .zst .bz2 .xz .lz4 .snappy .br .csv .tsv .json .ndjson .jsonlines .arrow .feather .orc .avro .pq .parq .npy"
    " .npz .bin .idx .zip .tar .tgz .7z .tfrecord".split()
)


def uri_readers(training_set: TrainingSet, *, offline: bool, meter: ReadMeter | None = None) -> list[DocumentReader]:
    """A reader for each file that a training set's URI names, in order, which tells a meter how far it is.

    Raises:
        DataError: There are no files, they cannot be listed, or ``offline`` forbids it.
    """
    check_reachable(training_set, offline=offline)
    keep_blank = training_set.documents == "articles"
    files = list_files(training_set.source)
    columns = columns_of(training_set)
    return [partial(read_file, file, columns, keep_blank=keep_blank, meter=meter) for file in files]


def check_reachable(training_set: TrainingSet, *, offline: bool) -> None:
    """Raise DataError if ``offline`` forbids to read what lies at a training set's URI."""
    if offline and not training_set.source.startswith("file://"):
        raise DataError(
            f"Training set {training_set.source} lies in an object store, and --kdmem-offline forbids downloading it."
        )


def names_token_files(source: str) -> bool:
    """Whether a URI names a .bin file of token ids, or such files by a pattern."""
    return source.partition("?")[0].endswith(TOKENS)


def list_files(source: str) -> list[File]:
    """The files that a URI names, in order of their paths.

    A URI names one file, a folder, or files by a pattern, in which each ``*`` stands for any part of one name. Of a
    folder, all files below it are read whose names have one of the endings `STREAMED`; names that begin with ``_`` or
    ``.``, and all below folders of such names, are left out. Files of token ids are those that it names as such.

    Raises:
        DataError: There are no files, they cannot be listed, or a file would be skipped that matches the pattern, or
            that is in the folder and looks like data, but has none of the endings.
    """
    check_address(source)
    address, _, query = source.partition("?")
    plain_address, pattern = _split_pattern(address)
    try:
        filesystem, base = FileSystem.from_uri(f"{plain_address}?{query}" if query else plain_address)
        base_info = filesystem.get_file_info(base)
        if base_info.type == FileType.Directory:
            below = filesystem.get_file_info(FileSelector(base, recursive=True))
            paths = [info.path for info in below if _is_named(info, base, pattern)]
        else:
            paths = [base] if base_info.is_file and not pattern else []
    except UNREADABLE as error:
        raise DataError(
            f"Training set {source} was expected to be readable, and is not ({first_line(error)}); check the address,"
            " the network and your credentials."
        ) from None
    scheme, endings = source.partition("://")[0], (TOKENS,) if names_token_files(source) else STREAMED
    readable = [path for path in paths if find_ending(path, endings)]
    if paths and not readable:
        way_out = f": name files of token ids by a pattern like *{TOKENS}" if min(paths).endswith(TOKENS) else ""
        raise DataError(
            f"Files that end in {', '.join(endings)} were expected at {source}; found {scheme}://{min(paths)}{way_out}."
        )
    if not paths:
        raise DataError(f"Files were expected at {source}, and there are none; check the address.")
    # To skip these silently would leave out a part of the text.
    skipped = [path for path in paths if not find_ending(path, endings) and (pattern or _looks_like_data(path))]
    if skipped:
        raise DataError(
            f"Files that end in {', '.join(endings)} alone were expected at {source}; found"
            f" {scheme}://{min(skipped)}: convert it, move it away, or name the others by a pattern like *.jsonl."
        )
    return [File(filesystem, path, f"{scheme}://{path}") for path in sorted(readable)]


def _split_pattern(address: str) -> tuple[str, list[str]]:
    """The address up to the first name with a ``*``, and the names from there on."""
    scheme, _, rest = address.partition("://")
    names = rest.rstrip("/").split("/") if rest.strip("/") else [rest]
    first = next((at for at, name in enumerate(names) if "*" in name), len(names))
    return f"{scheme}://{'/'.join(names[:first]) or '/'}", names[first:]


def _looks_like_data(path: str) -> bool:
    name = path.lower()
    return find_ending(name, (*STREAMED, *OTHER_DATA)) is not None


def _is_named(info: FileInfo, base: str, pattern: Sequence[str]) -> bool:
    """Whether a URI with this base and pattern names a file."""
    if not info.is_file:
        return False
    names = info.path.removeprefix(base).strip("/").split("/")
    if pattern:
        return len(names) == len(pattern) and all(map(fnmatchcase, names, pattern))
    return not any(name.startswith(("_", ".")) for name in names)
