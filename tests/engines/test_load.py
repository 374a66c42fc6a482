"""One engine at a time on a device, and never weights that were changed meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pytest_kdmem.engines.load import device_to_itself, open_engine
from pytest_kdmem.engines.numerics import resolve_numerics
from pytest_kdmem.errors import EngineError
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model
from pytest_kdmem.specs.runtime import RunSettings

HOLDER = """
import sys
from pytest_kdmem.engines.load import device_to_itself
with device_to_itself(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.readline()
    print("let go", flush=True)
"""


@pytest.fixture
def holders(tmp_path, monkeypatch):
    """Starts processes that hold a device until they are written to."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    started = []

    def hold(device, **environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, device], stdin=pipe, stdout=pipe, text=True, start_new_session=True
        )
        started.append(process)
        return process

    yield hold
    for process in started:
        process.kill()
        process.wait()


def test_a_second_process_waits_for_the_device(holders):
    first = holders("cpu")
    assert first.stdout.readline() == "held\n"
    second = holders("cpu")
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(2)
    first.stdin.write("\n")
    first.stdin.flush()
    assert first.stdout.readline() == "let go\n"
    assert second.stdout.readline() == "held\n"


def test_a_killed_process_holds_nothing(holders):
    first = holders("cpu")
    assert first.stdout.readline() == "held\n"
    first.kill()
    assert holders("cpu").stdout.readline() == "held\n"


def test_other_devices_are_not_waited_for(holders):
    assert holders("cuda", CUDA_VISIBLE_DEVICES="0").stdout.readline() == "held\n"
    assert holders("cuda", CUDA_VISIBLE_DEVICES="1").stdout.readline() == "held\n"
    assert holders("cpu").stdout.readline() == "held\n"


def test_the_lock_is_free_after_an_error():
    with pytest.raises(ZeroDivisionError), device_to_itself("test-error"):
        raise ZeroDivisionError
    with device_to_itself("test-error"):
        pass


def test_weights_that_change_while_they_load_are_refused(make_model, monkeypatch):
    from pytest_kdmem.engines.transformers import engine as transformers

    folder = make_model("pythia", seed=3)
    model = Model(str(folder))
    checkpoint = open_checkpoint(model)
    numerics = resolve_numerics(
        model, checkpoint, engine="transformers", device="cpu", dtype="float32", metrics="verdict"
    )
    loading, closed = transformers.load_model, []

    def load(*arguments, **settings):
        loaded = loading(*arguments, **settings)
        weights = next(folder.glob("*.safetensors"))
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        weights.write_bytes(content)
        return loaded

    monkeypatch.setattr(transformers, "load_model", load)
    monkeypatch.setattr(transformers.TransformersEngine, "close", lambda engine: closed.append(engine))
    with pytest.raises(EngineError, match="expected to stay as it is during an audit"):
        open_engine(model, checkpoint, numerics, Extraction(50, 50, 100), RunSettings())
    assert len(closed) == 1


@pytest.mark.parametrize("planted", ["file", "symlink", "writable"])
def test_locks_lie_where_no_one_else_can_write(tmp_path, monkeypatch, planted):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    place, elsewhere = tmp_path / f"kdmem-{os.getuid()}", tmp_path / "elsewhere"
    elsewhere.mkdir()
    if planted == "file":
        place.write_text("")
    elif planted == "symlink":
        place.symlink_to(elsewhere)
    else:
        place.mkdir()
        place.chmod(0o777)
    with pytest.raises(EngineError, match="of this user's alone was expected"), device_to_itself("cpu"):
        pytest.fail("held")
    assert not list(elsewhere.iterdir())
