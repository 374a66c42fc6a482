"""Which engine, device and dtype a run comes to, and what its stored scores are found by."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from pytest_kdmem.engines import numerics
from pytest_kdmem.engines.numerics import Numerics, installed_engines, resolve_numerics
from pytest_kdmem.engines.vllm import versions as vllm_versions
from pytest_kdmem.errors import EngineError
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Model


@pytest.fixture
def resolved(tiny):
    model = Model(str(tiny))
    checkpoint = open_checkpoint(model)

    def resolved(engine="auto", *, device="auto", metrics="verdict", trust_remote_code=False, **changed):
        one = replace(checkpoint, **changed)
        trusted = replace(model, trust_remote_code=trust_remote_code)
        return resolve_numerics(trusted, one, engine=engine, device=device, dtype="auto", metrics=metrics)

    return resolved


@pytest.fixture
def machine(monkeypatch):
    """A machine with or without a GPU, and with some vLLM or none."""

    def machine(*, gpu: bool, vllm: str | None) -> None:
        monkeypatch.setattr(numerics, "has_gpu", lambda: gpu)
        for module in (numerics, vllm_versions):
            monkeypatch.setattr(module, "installed_vllm", lambda: vllm)

    return machine


def test_auto_is_vllm_for_verdicts_on_a_gpu_where_a_tested_one_is_installed(machine, resolved):
    machine(gpu=True, vllm="0.32.0")
    found = resolved()
    assert (found.engine, found.device, found.vllm) == ("vllm", "cuda", "0.32.0")


@pytest.mark.parametrize(
    ("gpu", "vllm", "asked"),
    [
        (False, "0.32.0", {}),
        (True, None, {}),
        (True, "0.99.0", {}),
        (True, "0.32.0", {"metrics": "all"}),
        (True, "0.32.0", {"device": "cpu"}),
        (True, "0.32.0", {"architecture": "MysteryForCausalLM"}),
        (True, "0.32.0", {"quantized": True}),
        (True, "0.32.0", {"trust_remote_code": True}),
    ],
)
def test_auto_is_transformers_everywhere_else(machine, resolved, gpu, vllm, asked):
    machine(gpu=gpu, vllm=vllm)
    found = resolved(**asked)
    assert (found.engine, found.vllm) == ("transformers", None)


def test_vllm_by_name_needs_a_tested_one(machine, resolved):
    machine(gpu=False, vllm=None)
    with pytest.raises(EngineError, match=r"vLLM 0\.32\.0 was expected .* none is installed; install it with pip"):
        resolved("vllm")
    machine(gpu=False, vllm="0.99.0")
    with pytest.raises(EngineError, match=r"vLLM 0\.32\.0 was expected .*0\.99\.0 is installed"):
        resolved("vllm")
    machine(gpu=False, vllm="0.32.0")
    assert resolved("vllm").engine == "vllm"
    with pytest.raises(EngineError, match="on which it was tested; found MysteryForCausalLM"):
        resolved("vllm", architecture="MysteryForCausalLM")
    with pytest.raises(EngineError, match="not quantized was expected by the vllm engine"):
        resolved("vllm", quantized=True)
    with pytest.raises(EngineError, match="without code of its own was expected by the vllm engine"):
        resolved("vllm", trust_remote_code=True)
    assert installed_engines() == ("transformers", "vllm")


def test_a_quantized_checkpoint_is_known_by_its_configuration(make_model):
    folder = make_model("pythia", seed=4)
    assert not open_checkpoint(Model(str(folder))).quantized
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": {"quant_method": "awq"}}))
    assert open_checkpoint(Model(str(folder))).quantized
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "hf_quant_config.json").write_text("{}")
    assert open_checkpoint(Model(str(folder))).quantized


def test_scores_of_another_engine_or_version_are_not_taken_for_these():
    plain = Numerics("transformers", "cpu", "float32", "2", "5")
    others = [
        replace(plain, engine="vllm", vllm="0.32.0"),
        replace(plain, engine="vllm", vllm="0.33.0"),
        replace(plain, dtype="bfloat16"),
        replace(plain, torch="3"),
    ]
    assert len({one.digest for one in [plain, *others]}) == 5


def test_nothing_heavy_is_imported_to_settle_it():
    heavy = "import sys, pytest_kdmem.engines.load; print([m for m in ('torch', 'vllm', 'ray') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
