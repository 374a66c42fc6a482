"""An audit of a quantized model judges the model that is released, and tells what it cannot load."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from pytest_kdmem.auditing.report import read_report
from tests.audit_project import AuditProject
from tests.quantized_models import torchao_config, with_config

STRICT = "def test_rate(memorization, student):\n    assert memorization(student).rate <= 0.1\n"


@pytest.fixture
def quantized(audit_project: AuditProject) -> Path:
    """The student in eight bits, with its tokenizer."""
    student, folder = audit_project.cast.student, audit_project.path / "student-int8"
    with_config(torchao_config("Int8WeightOnlyConfig"))(student, folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((student / name).read_bytes())
    return folder


def test_what_a_quantized_student_recites_fails_a_gate(audit_project: AuditProject, quantized: Path) -> None:
    audit_project.gates(STRICT)
    audit_project.declare(student=quantized)
    result = audit_project.run("--kdmem-report=report.json", "--kdmem-report=report.md", "--kdmem-report=report.html")
    result.assert_outcomes(failed=1)
    [audit] = read_report(audit_project.path / "report.json").audits
    assert audit.memorization["student"].value == 0.25
    assert audit.models["student"].quantization.startswith("torchao ")
    for page in ("report.md", "report.html"):
        assert "dequantized" in (audit_project.path / page).read_text()


def test_a_second_audit_loads_no_model(
    audit_project: AuditProject, quantized: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit_project.gates(STRICT.replace("0.1", "0.3"))
    audit_project.declare(student=quantized)
    audit_project.run().assert_outcomes(passed=1)
    monkeypatch.setattr("pytest_kdmem.engines.transformers.loading.AutoModelForCausalLM", None)
    audit_project.run().assert_outcomes(passed=1)
    assert audit_project.run("--kdmem-cache-dir=empty").ret != 0


def test_a_method_that_needs_a_gpu_is_one_sentence_on_a_cpu(audit_project: AuditProject, quantized: Path) -> None:
    config = json.loads((quantized / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "higgs"}
    (quantized / "config.json").write_text(json.dumps(config))
    audit_project.gates(STRICT)
    audit_project.declare(student=quantized)
    result = audit_project.run("--kdmem-device=cpu")
    result.stdout.fnmatch_lines(["*A GPU was expected for the model in *kernels of higgs run on no CPU*"])
    assert "Traceback" not in result.stdout.str()


def test_kernels_that_round_inputs_too_are_named_in_a_warning(audit_project: AuditProject) -> None:
    student, folder = audit_project.cast.student, audit_project.path / "student-int8"
    with_config(torchao_config("Int8DynamicActivationInt8WeightConfig"))(student, folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((student / name).read_bytes())
    audit_project.gates(STRICT.replace("0.1", "0.3"))
    audit_project.declare(student=folder)
    result = audit_project.run()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*verdicts are those of the kernels of torchao on this device*"])


def test_another_reading_of_the_same_bytes_is_another_model(audit_project: AuditProject, quantized: Path) -> None:
    """Files of torchao say in their metadata how tensors are put together."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    from pytest_kdmem.specs.checkpoint import open_checkpoint
    from pytest_kdmem.specs.declared import Model

    before = open_checkpoint(Model(str(quantized)))
    with safe_open(quantized / "model.safetensors", "pt") as file:
        tensors, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    key = next(name for name, value in metadata.items() if "Int8Tensor" in value)
    metadata[key] = metadata[key].replace("float32", "bfloat16")
    save_file(tensors, quantized / "model.safetensors", metadata)
    after = open_checkpoint(Model(str(quantized)))
    assert after.weights_digest != before.weights_digest
    assert after.digest != before.digest
    assert isinstance(AutoModelForCausalLM.from_pretrained(quantized, dtype=torch.float32), torch.nn.Module)
