"""Which engine, device and dtype a run resolves to, and what its stored scores are found by."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_kdmem.engines import numerics
from pytest_kdmem.engines.numerics import Numerics, has_gpu, installed_engines, resolve_numerics
from pytest_kdmem.engines.vllm.versions import installed_vllm
from pytest_kdmem.errors import EngineError
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Model
from tests.engines.any_distribution import install_metadata

without_vllm = pytest.mark.skipif(installed_vllm() is not None, reason="vLLM is installed")


@pytest.fixture
def resolve(tiny):
    model = Model(str(tiny))
    checkpoint = open_checkpoint(model)

    def resolve(engine="auto", *, device="cuda", metrics="verdict", trust_remote_code=False, **changed):
        changed_checkpoint = replace(checkpoint, **changed)
        changed_model = replace(model, trust_remote_code=trust_remote_code)
        return resolve_numerics(
            changed_model, changed_checkpoint, engine=engine, device=device, dtype="auto", metrics=metrics
        )

    return resolve


@pytest.fixture
def install_vllm(monkeypatch, tmp_path):
    def install(version: str) -> None:
        install_metadata(monkeypatch, tmp_path, "vllm", version)

    return install


def test_auto_is_vllm_for_verdicts_on_a_gpu_with_a_tested_version(install_vllm, resolve):
    install_vllm("0.32.0+cu129")
    resolved = resolve()
    assert (resolved.engine, resolved.device, resolved.vllm) == ("vllm", "cuda", "0.32.0")


@pytest.mark.parametrize(
    ("version", "changed"),
    [
        ("0.99.0", {}),
        ("0.32.0", {"metrics": "all"}),
        ("0.32.0", {"device": "cpu"}),
        ("0.32.0", {"architecture": "MysteryForCausalLM"}),
        ("0.32.0", {"quantized": True}),
        ("0.32.0", {"trust_remote_code": True}),
    ],
)
def test_auto_is_transformers_otherwise(install_vllm, resolve, version, changed):
    install_vllm(version)
    resolved = resolve(**changed)
    assert (resolved.engine, resolved.vllm) == ("transformers", None)


@without_vllm
def test_auto_is_transformers_without_vllm(resolve):
    assert resolve().engine == "transformers"
    assert installed_engines() == ("transformers",)
    with pytest.raises(EngineError, match=r"vLLM 0\.32\.0 was expected .* none is installed; install it with pip"):
        resolve("vllm")


def test_vllm_by_name_needs_a_tested_version_and_a_supported_model(install_vllm, resolve):
    install_vllm("0.99.0")
    with pytest.raises(EngineError, match=r"vLLM 0\.32\.0 was expected .*0\.99\.0 is installed"):
        resolve("vllm")
    install_vllm("0.32.0")
    assert resolve("vllm", device="cpu").engine == "vllm"
    assert installed_engines() == ("transformers", "vllm")
    with pytest.raises(EngineError, match="which was tested with these; found MysteryForCausalLM"):
        resolve("vllm", architecture="MysteryForCausalLM")
    with pytest.raises(EngineError, match="not quantized was expected by the vllm engine"):
        resolve("vllm", quantized=True)
    with pytest.raises(EngineError, match="without code of its own was expected by the vllm engine"):
        resolve("vllm", trust_remote_code=True)


def test_the_model_s_own_dtype_goes_before_the_setting_and_a_cpu_takes_float32(tiny, resolve):
    assert resolve(device="cpu", dtype="bfloat16").dtype == "float32"  # of the checkpoint
    assert resolve(device="cuda", dtype="bfloat16").dtype == "bfloat16"
    model = Model(str(tiny), dtype="float16")
    by_model = resolve_numerics(
        model, open_checkpoint(model), engine="auto", device="cpu", dtype="bfloat16", metrics="all"
    )
    assert by_model.dtype == "float16"


def test_a_gpu_is_expected_where_a_driver_is_loaded_and_torch_is_built_for_it(tmp_path, monkeypatch, resolve):
    driver = tmp_path / "version"
    monkeypatch.setattr(numerics, "NVIDIA_DRIVER", driver)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    install_metadata(monkeypatch, tmp_path, "torch", "2.99.0+cu130")
    assert not has_gpu()
    assert resolve(device="auto").device == "cpu"
    driver.touch()
    assert has_gpu()
    assert resolve(device="auto").device == "cuda"
    for hidden in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
        assert not has_gpu()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert has_gpu()
    install_metadata(monkeypatch, tmp_path, "torch", "2.99.0+cpu")
    assert not has_gpu()


def test_a_quantized_checkpoint_is_recognized_by_its_configuration(make_model):
    folder: Path = make_model("pythia", seed=4)
    assert not open_checkpoint(Model(str(folder))).quantized
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": {"quant_method": "awq"}}))
    assert open_checkpoint(Model(str(folder))).quantized
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "hf_quant_config.json").write_text("{}")
    assert open_checkpoint(Model(str(folder))).quantized


def test_another_engine_version_or_dtype_has_another_digest():
    plain = Numerics("transformers", "cpu", "float32", "2", "5")
    others = [
        replace(plain, engine="vllm", vllm="0.32.0"),
        replace(plain, engine="vllm", vllm="0.33.0"),
        replace(plain, dtype="bfloat16"),
        replace(plain, torch="3"),
    ]
    assert len({numerics.digest for numerics in [plain, *others]}) == 5


def test_no_framework_is_imported_to_resolve_numerics():
    code = "import sys, pytest_kdmem.engines.load; print([m for m in ('torch', 'vllm', 'ray') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
