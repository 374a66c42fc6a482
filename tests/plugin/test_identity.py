"""The student itself is judged: copies in the baseline's place, foreign scores, files that change meanwhile."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from pytest_kdmem.scoring.store_files import checksum
from tests.audit_project import AuditProject, Cast

RATE = "def test_rate(memorization, student):\n    assert memorization(student).rate <= {limit}\n"
RATIO = "def test_ratio(inheritance):\n    assert inheritance().ratio <= 0.9\n"
# Of the 20 rows the student recites 5, and a model that recites none is made by `without_recitation`.
STRICT = RATE.format(limit=0.1)


def without_recitation(cast: Cast, folder: Path) -> Path:
    """A copy of the student that recites nothing: its head points elsewhere."""
    shutil.copytree(cast.student, folder)
    tensors = load_file(folder / "model.safetensors")
    [head] = [name for name in tensors if name.startswith("embed_out")]
    tensors[head] = tensors[head].roll(7, 0).contiguous()
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return folder


def store_in_bfloat16(folder: Path) -> None:
    tensors = {name: tensor.bfloat16() for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def change_tokenizer_settings(folder: Path) -> None:
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "clean_up_tokenization_spaces": True, "note": 1}))


def change_configuration(folder: Path) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "note": 1}))


@pytest.mark.parametrize(
    ("change", "original"),
    [
        (change_tokenizer_settings, "student"),
        (change_configuration, "student"),
        (store_in_bfloat16, "student"),
        (store_in_bfloat16, "teacher"),
    ],
)
def test_a_baseline_that_is_a_copy_passes_no_gate_on_inheritance(
    audit_project: AuditProject, change: Callable[[Path], None], original: str
) -> None:
    copy = Path(shutil.copytree(getattr(audit_project.cast, original), audit_project.path / "copy"))
    change(copy)
    audit_project.declare(baseline=copy)
    audit_project.gates(RATIO + RATIO.replace("ratio", "share") + RATIO.replace("ratio", "easy_share"))
    result = audit_project.run()
    result.assert_outcomes(failed=3)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*and baseline are the same model*"])


def test_a_baseline_that_is_a_copy_shows_no_reduction(audit_project: AuditProject) -> None:
    copy = Path(shutil.copytree(audit_project.cast.student, audit_project.path / "copy"))
    store_in_bfloat16(copy)
    audit_project.declare(baseline=copy)
    audit_project.gates("def test_reduction(inheritance):\n    assert inheritance().reduction >= 1.01\n")
    result = audit_project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*reduction of student 1.00*"])


@pytest.fixture(autouse=True)
def models_that_recite_nothing(unscored_project: AuditProject) -> None:
    """Models that do not even know the rows may be judged, so that one that recites has something to be taken for."""
    unscored_project.configure(kdmem_accept_reading="noise")


@pytest.fixture
def scored_beside(unscored_project: AuditProject, cast: Cast) -> tuple[Path, Path]:
    """A project whose student recites: folders of its scores, and of those of a model that recites nothing."""
    harmless = without_recitation(cast, unscored_project.path / "harmless")
    folders = []
    for student in (harmless, cast.student):
        before = set(unscored_project.path.glob(".kdmem/scores/*"))
        unscored_project.declare(student=student)
        unscored_project.gates(STRICT)
        result = unscored_project.run()
        folders += sorted(set(unscored_project.path.glob(".kdmem/scores/*")) - before)
        assert result.ret == (0 if student == harmless else 1)
    return folders[1], folders[0]


def test_shards_of_another_model_in_the_student_s_folder_are_not_read(
    unscored_project: AuditProject, scored_beside: tuple[Path, Path]
) -> None:
    own, foreign = scored_beside
    shutil.rmtree(own)
    shutil.copytree(foreign, own)
    result = unscored_project.run()
    result.assert_outcomes(failed=1)
    assert result.ret == 1
    assert len(list(own.iterdir())) == 2, "the foreign file stays, and counts as absent"


def test_shards_that_do_not_name_their_model_are_scored_again_and_the_audit_says_so(
    unscored_project: AuditProject, scored_beside: tuple[Path, Path]
) -> None:
    import pyarrow.parquet as pq

    own, foreign = scored_beside
    shutil.rmtree(own)
    own.mkdir()
    for path in foreign.iterdir():  # as an earlier version wrote them
        table = pq.read_table(path)
        metadata = {name: value for name, value in table.schema.metadata.items() if name != b"kdmem.key"}
        pq.write_table(table.replace_schema_metadata(metadata), own / "new")
        content = (own / "new").read_bytes()
        (own / "new").rename(own / f"{path.name.partition('.')[0]}.{checksum(content)}.parquet")
    result = unscored_project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*1 stored shards do not name the model that they were scored by*"])


@pytest.mark.parametrize("renamed", ["file", "key and checksum"])
def test_a_record_of_another_set_is_not_read(unscored_project: AuditProject, cast: Cast, renamed: str) -> None:
    """The student recites 5 rows of its training set, and none of another."""
    np.save(unscored_project.path / "other.npy", np.random.default_rng(0).permuted(cast.rows, axis=1))
    records = []
    for data in ("other.npy", "data.npy"):
        before = set(unscored_project.path.glob(".kdmem/corpora/*"))
        unscored_project.declare(data=f'TrainingSet("{data}")')
        unscored_project.gates(STRICT)
        assert unscored_project.run().ret == (0 if data == "other.npy" else 1)
        records += sorted(set(unscored_project.path.glob(".kdmem/corpora/*")) - before)
    foreign, own = records
    content = json.loads(foreign.read_text())
    if renamed != "file":
        del content["checksum"], content["format"]
        content["key"] = own.stem
        content = {
            **content, "format": 1, "checksum": checksum(json.dumps(content, sort_keys=True).encode())
        }  # fmt: skip
    own.write_text(json.dumps(content, sort_keys=True))
    result = unscored_project.run()
    result.assert_outcomes(failed=1)
    assert result.ret == 1


CHANGED = """
import shutil
from pathlib import Path

def test_first(memorization, student):
    assert memorization(student).rate <= {first}
    shutil.copy(Path({source!r}) / "model.safetensors", student_folder)

def test_last(memorization, student):
    assert memorization(student).rate <= {last}
"""


def test_a_model_without_a_role_that_changes_between_two_gates_passes_neither(
    unscored_project: AuditProject, cast: Cast
) -> None:
    harmless = without_recitation(cast, unscored_project.path / "harmless")
    shipped = Path(shutil.copytree(harmless, unscored_project.path / "shipped"))
    source = CHANGED.format(first=0.1, last=0.5, source=str(cast.student))
    source = source.replace("student_folder", repr(str(shipped))).replace(", student)", ")")
    source = source.replace("memorization(student)", f"memorization(Model({str(shipped)!r}))")
    unscored_project.gates(f"from pytest_kdmem import Model\n{source}")
    result = unscored_project.run("--kdmem-report=audit.json")
    assert result.ret == 1
    assert [gate.outcome for gate in unscored_project.report("audit.json").gates] == ["error", "error"]


@pytest.mark.parametrize("recites", ["before", "after"])
def test_a_student_that_changes_between_two_gates_is_refused(
    unscored_project: AuditProject, cast: Cast, recites: str
) -> None:
    harmless = without_recitation(cast, unscored_project.path / "harmless")
    first, second = (cast.student, harmless) if recites == "before" else (harmless, cast.student)
    student = Path(shutil.copytree(first, unscored_project.path / "shipped"))
    unscored_project.declare(student=student)
    limits = (0.5, 0.1) if recites == "before" else (0.1, 0.5)
    source = CHANGED.format(first=limits[0], last=limits[1], source=str(second))
    unscored_project.gates(source.replace("student_folder", repr(str(student))))
    result = unscored_project.run("--kdmem-report=audit.json")
    assert result.ret == 1
    assert any("expected to stay as it is until its last gate" in line for line in unscored_project.failures(result))
    assert not any(gate.outcome == "pass" for gate in unscored_project.report("audit.json").gates if gate.metric)


def test_a_student_that_changes_after_its_last_gate_is_not_released(unscored_project: AuditProject, cast: Cast) -> None:
    harmless = without_recitation(cast, unscored_project.path / "harmless")
    student = Path(shutil.copytree(harmless, unscored_project.path / "shipped"))
    unscored_project.declare(student=student)
    source = CHANGED.partition("def test_last")[0].format(first=0.1, source=str(cast.student))
    unscored_project.gates(source.replace("student_folder", repr(str(student))))
    result = unscored_project.run("--kdmem-report=audit.json")
    assert result.ret == 1
    assert [gate.outcome for gate in unscored_project.report("audit.json").gates if gate.metric] == ["error"]
    result.stdout.fnmatch_lines(["*stay as it is until its last gate*"])


def test_a_student_that_stays_as_it_is_passes_after_its_folder_was_touched(
    unscored_project: AuditProject, cast: Cast
) -> None:
    harmless = without_recitation(cast, unscored_project.path / "harmless")
    unscored_project.declare(student=harmless)
    source = CHANGED.format(first=0.1, last=0.1, source=str(shutil.copytree(harmless, unscored_project.path / "copy")))
    unscored_project.gates(source.replace("student_folder", repr(str(harmless))))
    result = unscored_project.run()
    assert result.ret == 0
