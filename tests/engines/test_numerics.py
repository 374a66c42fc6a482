"""Which engine, device and dtype a run resolves to, and what its stored scores are found by."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.engines import numerics
from pytest_kdmem.engines.numerics import Numerics, has_gpu, installed_engines, resolve_numerics
from pytest_kdmem.engines.vllm.versions import installed_vllm
from pytest_kdmem.errors import EngineError
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Model
from pytest_kdmem.specs.quantization import GPU_METHODS, Quantization
from tests.engines.any_distribution import install_metadata

AWQ = Quantization("awq")
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
        ("0.32.0", {"quantization": Quantization("torchao")}),
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
        resolve("vllm", quantization=AWQ)
    with pytest.raises(EngineError, match="without code of its own was expected by the vllm engine"):
        resolve("vllm", trust_remote_code=True)


@pytest.fixture
def precision(tiny, monkeypatch, tmp_path):
    """Dtypes that decide and screen, on a CPU that has the given flags."""
    install_metadata(monkeypatch, tmp_path, "gptqmodel", "1.0")

    def precision(*, flags="fpu avx512f", dtype="auto", model_dtype="auto", device="cuda", changed=None, **settings):
        processor = tmp_path / "cpuinfo"
        processor.write_text(f"processor\t: 0\nflags\t\t: {flags}\n")
        monkeypatch.setattr(numerics, "PROCESSOR", processor)
        model = Model(str(tiny), dtype=model_dtype)
        checkpoint = replace(open_checkpoint(model), **(changed or {}))
        resolved = resolve_numerics(
            model, checkpoint, engine="transformers", device=device, dtype=dtype, metrics="all", **settings
        )
        return resolved.dtype, resolved.screen

    return precision


LARGE = {"parameters": 100_000_000}


def test_float32_decides_on_every_machine_after_a_screening_where_that_is_faster(precision):
    assert precision(device="cuda") == ("float32", "bfloat16")
    assert precision(device="cuda", changed={"dtype": "float16"}) == ("float32", "float16")
    assert precision(device="cpu") == ("float32", None)
    for units in ("amx_bf16", "avx512_bf16"):
        assert precision(device="cpu", flags=f"fpu {units}", changed=LARGE) == ("float32", "bfloat16")
        assert precision(device="cpu", flags=f"fpu {units}") == ("float32", None)  # too small to gain by it
    assert precision(device="cpu", changed=LARGE) == ("float32", None)
    assert precision(device="cpu", screen_dtype="bfloat16") == ("float32", "bfloat16")
    assert precision(device="cuda", screen_dtype="none") == ("float32", None)


def test_a_named_dtype_is_the_only_one_and_the_model_s_goes_first(precision):
    assert precision(dtype="bfloat16") == ("bfloat16", None)
    assert precision(dtype="bfloat16", model_dtype="float16") == ("float16", None)
    assert precision(model_dtype="float32", screen_dtype="bfloat16") == ("float32", None)


def test_models_of_other_kernels_and_those_that_share_gpus_run_in_the_dtype_of_their_files(precision):
    half = {"dtype": "float16"}
    assert precision(changed={"quantization": AWQ, **half}) == ("float16", None)
    assert precision(changed=half, tensor_parallel=2) == ("float16", None)
    assert precision(device="cpu", changed={"quantization": AWQ, **half}) == ("float32", None)


def test_float32_decides_over_dequantized_weights(precision):
    assert precision(changed={"quantization": Quantization("torchao"), "dtype": "bfloat16"}) == ("float32", "bfloat16")


def test_a_screening_has_stored_scores_of_its_own_and_float32_alone_those_of_before(resolve):
    alone = Numerics("transformers", "cpu", "float32", "2.13.0", "5.19.0")
    assert replace(alone, screen="bfloat16").digest != alone.digest
    assert alone.digest == digest_of(
        {"engine": "transformers", "device": "cpu", "dtype": "float32", "torch": "2.13.0", "transformers": "5.19.0"}
    )


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
    assert open_checkpoint(Model(str(folder))).quantization is None
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": {"quant_method": "awq"}}))
    assert open_checkpoint(Model(str(folder))).quantization == Quantization("awq")
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "hf_quant_config.json").write_text("{}")
    assert open_checkpoint(Model(str(folder))).quantization == Quantization("modelopt")


@pytest.mark.parametrize("method", sorted(GPU_METHODS))
def test_kernels_that_need_a_gpu_are_refused_on_a_cpu(precision, method):
    with pytest.raises(EngineError, match=rf"A GPU was expected .* kernels of {method} run on no CPU; audit it on a"):
        precision(device="cpu", changed={"quantization": Quantization(method)})


@pytest.mark.parametrize(
    ("method", "packages"), [("gptq", "optimum gptqmodel"), ("awq", "gptqmodel"), ("quanto", "optimum-quanto")]
)
def test_a_package_that_is_not_installed_is_named_with_its_install_line(resolve, method, packages):
    with pytest.raises(EngineError, match=rf"The package {packages.split()[0]} was .*: pip install {packages}\.$"):
        resolve("transformers", device="cpu", quantization=Quantization(method))


def test_another_version_of_a_library_has_stored_scores_of_its_own(resolve, monkeypatch, tmp_path):
    digests = set()
    for version in ("1.0", "2.0"):
        install_metadata(monkeypatch, tmp_path, "gptqmodel", version)
        numerics_of_model = resolve("transformers", device="cpu", quantization=AWQ)
        assert numerics_of_model.quantization == f"gptqmodel {version}, by its own kernels"
        digests.add(numerics_of_model.digest)
    assert len(digests) == 2


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
