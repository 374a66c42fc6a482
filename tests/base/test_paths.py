"""Whatever a user names, looking at it raises nothing, and no pipe or device is read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_kdmem.base.paths import can_be_path, exists, is_file, is_folder, local_path, read_text

NO_PATHS = ("", "a\0b", "a\nb", "a\x1b[31m", "x" * 256, "a/" * 3000, "\ud800", "é" * 128)


@pytest.mark.parametrize("text", NO_PATHS)
def test_what_no_system_takes_for_a_path_is_none(text: str) -> None:
    assert not can_be_path(text)
    if text:
        assert not exists(local_path(text))
        assert not is_file(local_path(text))
        assert not is_folder(local_path(text))


@pytest.mark.parametrize("text", ["runs/student", "s3://bucket/set", "a b", "学生", "x" * 255])
def test_what_can_name_a_file_is_a_path(text: str) -> None:
    assert can_be_path(text)


def test_a_home_that_is_not_there_stays_as_it_is_written() -> None:
    assert local_path("~no-such-user-here/set") == Path("~no-such-user-here/set")
    assert local_path("~/set") == Path.home() / "set"


def test_a_loop_of_links_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert not exists(tmp_path / "a")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert exists(tmp_path / "pipe")
    assert not is_file(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(OSError, match="no regular file"):
            read_text(path)
