"""One model at a time on a device, and never weights that were changed meanwhile."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
from functools import partial

import pytest
from transformers import AutoModelForCausalLM, GPTNeoXForCausalLM

from pytest_kdmem.engines.load import ModelToLoad, device_to_itself, open_engine, open_pair
from pytest_kdmem.engines.numerics import Numerics, resolve_numerics
from pytest_kdmem.engines.transformers.engine import TransformersEngine
from pytest_kdmem.errors import EngineError
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model
from pytest_kdmem.specs.runtime import RunSettings

HOLDER = """
import sys
from pytest_kdmem.engines.load import device_to_itself
with device_to_itself(sys.argv[1], lambda: print("waits", flush=True)):
    print("held", flush=True)
    sys.stdin.readline()
    print("let go", flush=True)
"""


@pytest.fixture
def hold(tmp_path, monkeypatch):
    """Starts processes that hold a device until they read a line."""
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


def test_a_second_process_waits_for_the_device(hold):
    first = hold("cpu")
    assert first.stdout.readline() == "held\n"
    second = hold("cpu")
    assert second.stdout.readline() == "waits\n"
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(1)
    first.stdin.write("\n")
    first.stdin.flush()
    assert first.stdout.readline() == "let go\n"
    assert second.stdout.readline() == "held\n"


def test_a_killed_process_holds_nothing(hold):
    first = hold("cpu")
    assert first.stdout.readline() == "held\n"
    first.kill()
    assert hold("cpu").stdout.readline() == "held\n"


def test_other_devices_are_not_waited_for(hold):
    started = [
        hold("cuda", CUDA_VISIBLE_DEVICES="0"),
        hold("cuda", CUDA_VISIBLE_DEVICES="1"),
        hold("cpu"),
    ]
    assert [process.stdout.readline() for process in started] == ["held\n"] * 3


def test_the_lock_is_free_after_an_error():
    with pytest.raises(ZeroDivisionError), device_to_itself("test-error"):
        raise ZeroDivisionError
    with device_to_itself("test-error"):
        pass


@pytest.fixture
def saved_over_while_loaded(make_model, monkeypatch):
    """A model whose weights are saved over once transformers has read them for the first time."""
    folder, other = make_model("pythia", seed=3), make_model("pythia", seed=4)
    real = AutoModelForCausalLM.from_pretrained
    reads = []

    def from_pretrained(*args, **settings):
        loaded = real(*args, **settings)
        reads.append(args)
        if len(reads) == 1:
            shutil.copy(other / "model.safetensors", folder / "model.safetensors")
        return loaded

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", from_pretrained)
    model = Model(str(folder))
    checkpoint = open_checkpoint(model)
    numerics = resolve_numerics(
        model, checkpoint, engine="transformers", device="cpu", dtype="float32", metrics="verdict"
    )
    return ModelToLoad(model, checkpoint, numerics)


def models_in_memory() -> int:
    gc.collect()
    return sum(type(value) is GPTNeoXForCausalLM for value in gc.get_objects())


@pytest.mark.parametrize("opened", ["one model", "a pair"])
def test_weights_that_change_while_they_load_are_refused_and_not_kept_in_memory(saved_over_while_loaded, tiny, opened):
    model = Model(str(tiny))
    whole = ModelToLoad(model, open_checkpoint(model), saved_over_while_loaded.numerics)
    before = models_in_memory()
    if opened == "one model":
        load = partial(open_engine, *saved_over_while_loaded, Extraction(50, 50, 100), RunSettings())
    else:
        load = partial(open_pair, saved_over_while_loaded, whole, RunSettings(), tokenizer_size=None)
    with pytest.raises(EngineError, match="expected to stay as it is during an audit"):
        load()
    assert models_in_memory() == before


def test_a_model_that_does_not_run_in_half_precision_is_scored_in_float32_with_a_warning(make_model, tmp_path):
    network = AutoModelForCausalLM.from_pretrained(make_model("pythia", seed=5))
    network.get_input_embeddings().weight.data[:] = 1e6
    network.save_pretrained(tmp_path)
    model = Model(str(tmp_path))
    checkpoint = open_checkpoint(model)
    numerics = Numerics("transformers", "cpu", "float32", "1", "1", screen="float16")
    with pytest.warns(UserWarning, match=r"scored in float32 alone: .*NaN or infinity"):
        engine = open_engine(model, checkpoint, numerics, Extraction(50, 50, 100), RunSettings())
    assert isinstance(engine, TransformersEngine)


@pytest.mark.parametrize("planted", ["file", "symlink", "writable"])
def test_locks_lie_where_no_other_user_can_write(tmp_path, monkeypatch, planted):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder, elsewhere = tmp_path / f"kdmem-{os.getuid()}", tmp_path / "elsewhere"
    elsewhere.mkdir()
    if planted == "file":
        folder.write_text("")
    elif planted == "symlink":
        folder.symlink_to(elsewhere)
    else:
        folder.mkdir()
        folder.chmod(0o777)
    with pytest.raises(EngineError, match="only this user can write to was expected"), device_to_itself("cpu"):
        pytest.fail("held")
    assert not list(elsewhere.iterdir())
