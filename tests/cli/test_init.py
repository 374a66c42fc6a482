"""`kdmem init`: audits that run as they were written, and no file overwritten."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest

from pytest_kdmem.specs.run_card import ChatTraining, DataOrigin, write_run_card
from tests.audit_project import NOISE
from tests.chat import conversation, walk, with_template, write_rows
from tests.specs.any_card import card

MODELS = ("teacher", "student", "baseline")
LIMITS = {"kdmem_max_inheritance_ratio": 0.25, "kdmem_min_reduction": 1.4}


@pytest.fixture
def init(kdmem, pytester, monkeypatch):
    """Runs `kdmem init` in pytester's folder."""
    monkeypatch.chdir(pytester.path)
    return lambda *arguments: kdmem("init", *arguments)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_written_audit_audits_the_models_named(audit_project, init):
    models = [f"--{role}={getattr(audit_project.cast, role)}" for role in MODELS]
    done = init("gates/release", *models, "--training-set=data.npy", "--workflow=none")
    assert (done.code, done.out.splitlines()[-1]) == (0, "next: pytest gates/release")
    [written] = Path("gates/release").glob("test_*.py")
    assert "# A baseline that recites nothing leaves nothing to reduce" in written.read_text()
    (audit_project.path / "conftest.py").unlink()
    audit_project.configure(kdmem_max_memorization_rate=0.25, **LIMITS)
    audit_project.run("gates/release").assert_outcomes(passed=3)
    audit_project.configure(kdmem_max_memorization_rate=0.2, **LIMITS)
    audit_project.run("gates/release").assert_outcomes(passed=2, failed=1)


def test_the_shipped_models_pass_the_written_audit(pytester, init, shipped):
    """A newcomer begins like this, with a part of the shipped corpus."""
    for name, lines in (("training", slice(None, None, 20)), ("control", slice(60))):
        with gzip.open(shipped / f"corpus/{name}.jsonl.gz", "rt") as file:
            Path(f"{name}.jsonl").write_text("".join(file.read().splitlines(keepends=True)[lines]))
    models = [f"--{role}={shipped / 'models/pythia' / role}" for role in MODELS]
    assert init(*models, "--training-set=training.jsonl", "--control-set=control.jsonl").code == 0
    pytester.makepyprojecttoml(
        "[tool.pytest]\nkdmem_window_tokens = 128\nkdmem_max_memorization_rate = 0.2\nkdmem_min_reduction = 1.2\n"
        "kdmem_max_inheritance_ratio = 0.2\n"
    )
    result = pytester.runpytest_inprocess("-p", "no:xdist", "-p", "no:cacheprovider", "audits")
    result.assert_outcomes(passed=4)


def test_without_names_it_writes_placeholders(init):
    done = init()
    assert done.code == 0
    assert "next: name your models in audits/conftest.py" in done.out
    text = Path("audits/conftest.py").read_text()
    assert '"runs/teacher"' in text
    assert sorted(files(Path.cwd())) == [
        ".github/workflows/memorization-audit.yml", "audits/conftest.py", "audits/test_release.py",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "existing", ["audits/conftest.py", "audits/test_release.py", ".github/workflows/memorization-audit.yml"]
)
def test_where_a_file_exists_nothing_is_written(init, existing):
    Path(existing).parent.mkdir(parents=True)
    Path(existing).write_text("mine")
    done = init()
    assert done.code == 2
    assert f"{existing} exists already" in done.err
    assert files(Path.cwd()) == {existing: b"mine"}


def test_an_unknown_workflow_is_refused(init):
    done = init("--workflow=jenkins")
    assert done.code == 2
    assert "--workflow must be one of github, gitlab, none; found 'jenkins'" in done.err
    assert files(Path.cwd()) == {}


def test_the_gitlab_job_has_to_be_included(init):
    assert "include: { local: .gitlab/memorization-audit.yml }" in init("--workflow=gitlab").out


def test_several_releases_are_audited_together(audit_project, init):
    models = [f"--{role}={getattr(audit_project.cast, role)}" for role in MODELS]
    for folder in ("first", "second"):
        assert init(f"audits/{folder}", *models, "--training-set=data.npy", "--workflow=none").code == 0
    (audit_project.path / "conftest.py").unlink()
    audit_project.configure(kdmem_max_memorization_rate=0.25, **LIMITS)
    audit_project.run("audits").assert_outcomes(passed=6)


def test_where_a_workflow_exists_the_error_names_the_way_to_do_without(init):
    assert init("audits/first").code == 0
    done = init("audits/second")
    assert done.code == 2
    assert "use --workflow none" in done.err


CONVERSATION = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Ann."}]
COMMENT = 'declare chat_roles="all"'


@pytest.mark.parametrize(
    ("row", "options", "written"),
    [
        ({"messages": CONVERSATION}, [], ""),
        ({"conversations": [{"from": "human", "value": "Who?"}, {"from": "gpt", "value": "Ann."}]}, [], ""),
        ({"prompt": "Who?", "completion": "Ann."}, [], ""),
        ({"turns": CONVERSATION}, ["--chat-columns=messages=turns"], ', chat_columns="messages=turns"'),
        ({"messages": CONVERSATION, "text": "Ann."}, ["--chat-columns=messages"], ', chat_columns="messages"'),
        (
            {"instruction": "Who?", "input": "", "output": "Ann."},
            ["--chat-columns=user=instruction+input,assistant=output"],
            ', chat_columns="user=instruction+input,assistant=output"',
        ),
        (None, ["--chat-columns=messages=turns"], ', chat_columns="messages=turns"'),
    ],
)
def test_of_conversations_the_audit_says_whose_turns_it_leaves_out(init, row, options, written):
    if row is not None:
        write_rows(Path("chat.jsonl"), [row])
    assert init("--training-set=chat.jsonl", *options).code == 0
    text = Path("audits/conftest.py").read_text()
    assert f'TrainingSet(ROOT / "chat.jsonl"{written})' in text
    assert COMMENT in text


@pytest.mark.parametrize(
    ("row", "options", "written"),
    [
        ({"text": "Ann."}, [], ""),
        ({"body": "Ann."}, ["--text-column=body"], ', text_column="body"'),
        ({"messages": CONVERSATION, "text": "Ann."}, ["--chat-columns=none"], ', chat_columns="none"'),
        (None, [], ""),
    ],
)
def test_of_text_and_of_what_is_not_there_yet_it_says_nothing_of_turns(init, row, options, written):
    if row is not None:
        write_rows(Path("data.jsonl"), [row])
    assert init("--training-set=data.jsonl", *options).code == 0
    text = Path("audits/conftest.py").read_text()
    assert f'TrainingSet(ROOT / "data.jsonl"{written})' in text
    assert "chat_roles" not in text


@pytest.mark.parametrize(
    ("row", "written", "is_told"),
    [
        ({"body": "Ann.", "text": "Ann."}, ', text_column="body"', False),
        ({"text": "Ann.", "note": "Ann."}, "", False),
        ({"id": 1, "note": "Ann."}, ', text_column="note"', False),
        ({"input_ids": [1, 2]}, "", False),
        ({"messages": CONVERSATION}, "", False),
        ({"note": "Ann.", "other": "Bob."}, ', text_column="body"', True),
        ({"id": 1}, ', text_column="body"', True),
        (None, ', text_column="body"', False),
    ],
)
@pytest.mark.parametrize("role", ["control", "teacher"])
def test_other_sets_have_columns_of_their_own(init, role, row, written, is_told):
    write_rows(Path("data.jsonl"), [{"body": "Ann."}])
    if row is not None:
        write_rows(Path("other.jsonl"), [row])
    done = init("--training-set=data.jsonl", f"--{role}-set=other.jsonl", "--text-column=body", "--form=blocks")
    assert done.code == 0
    text = Path("audits/conftest.py").read_text()
    assert 'TrainingSet(ROOT / "data.jsonl", text_column="body", form="blocks")' in text
    assert f'TrainingSet(ROOT / "other.jsonl"{written}, form="blocks")' in text
    told = f"! --{role}-set other.jsonl has the columns {', '.join(row or ())}: name the one that holds its text"
    assert (told in done.out) == is_told


@pytest.mark.parametrize(
    ("row", "way_out"),
    [
        ({"body": "Ann."}, "name the right one with --text-column, or those of conversations with --chat-columns"),
        ({"messages": CONVERSATION, "text": "Ann."}, "declare chat_columns (--chat-columns)"),
    ],
)
def test_where_the_columns_are_not_clear_nothing_is_written(init, row, way_out):
    write_rows(Path("data.jsonl"), [row])
    done = init("--training-set=data.jsonl")
    assert done.code == 2
    assert way_out in done.err
    assert list(files(Path.cwd())) == ["data.jsonl"]


def test_the_written_audit_of_conversations_audits_their_answers(unscored_project, init):
    project = unscored_project
    models = [f"--{role}={with_template(getattr(project.cast, role), project.path / role)}" for role in MODELS]
    rows = [{"turns": conversation((walk(0, 3 + at, 9), walk(0, 12 + at, 12)))["messages"]} for at in range(3)]
    write_rows(project.path / "chat.jsonl", rows)
    done = init(*models, "--training-set=chat.jsonl", "--chat-columns=messages=turns", "--workflow=none")
    assert (done.code, done.err) == (0, "")
    (project.path / "conftest.py").unlink()
    project.configure(kdmem_max_memorization_rate=0.25)
    result = project.run("audits", NOISE, "-k", "recites_little", "--kdmem-partial")
    result.assert_outcomes(passed=1)


def test_a_folder_that_needs_a_split_is_left_to_the_audit(init):
    Path("data").mkdir()
    Path("data/dataset_dict.json").write_text('{"splits": ["test"]}')
    assert init("--training-set=data").code == 0
    assert 'TrainingSet(ROOT / "data")' in Path("audits/conftest.py").read_text()


def test_lengths_are_those_of_the_student_s_run_card_and_stand_in_the_workflow(init, tiny):
    shutil.copytree(tiny, "student")
    write_run_card(card(extraction={"prefix_tokens": 50, "suffix_tokens": 40, "window_tokens": 104}), Path("student"))
    done = init("--student=student")
    options = "--kdmem-suffix-tokens=40 --kdmem-window-tokens=104"
    assert done.out.splitlines()[-1] == f"next: pytest audits {options}"
    assert "kdmem_window_tokens = 104 in the configuration" in done.out
    assert f'pytest "$AUDITS" {options} --kdmem-report' in Path(".github/workflows/memorization-audit.yml").read_text()


def test_a_window_that_is_given_goes_before_that_of_the_run_card(init, tiny):
    shutil.copytree(tiny, "student")
    write_run_card(card(), Path("student"))
    done = init("--student=student", "--window-tokens=300", "--workflow=none")
    assert done.out.splitlines()[-1] == "next: pytest audits --kdmem-window-tokens=300"


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("pyproject.toml", "[tool.pytest]\nkdmem_window_tokens = 300\n"),
        ("pyproject.toml", '[tool.pytest.ini_options]\nkdmem_window_tokens = "300"\n'),
        ("pytest.ini", "[pytest]\nkdmem_window_tokens = 300\n"),
    ],
)
def test_a_length_that_the_configuration_has_already_is_not_advised(init, file, text):
    Path(file).write_text(text)
    done = init("--window-tokens=300", "--student=gone/student", "--workflow=none")
    assert "configuration" not in done.out
    assert done.out.splitlines()[-1] == "next: pytest audits"
    assert (
        "kdmem_window_tokens = 200 in the configuration" in init("second", "--window-tokens=200", "--workflow=none").out
    )


def test_paths_at_which_nothing_is_are_told_and_the_audit_is_written_all_the_same(init, tiny):
    shutil.copytree(tiny, "here")
    models = ["--teacher=here", "--student=./gone", "--baseline=someone/model"]
    done = init(*models, "--training-set=gone.jsonl", "--control-set=s3://bucket/a.jsonl", "--workflow=none")
    assert done.code == 0
    assert [line for line in done.out.splitlines() if line.startswith("!")] == [
        "! --student names ./gone, where nothing is yet: the audit fails until it is there",
        "! --training-set names gone.jsonl, where nothing is yet: the audit fails until it is there",
    ]
    assert Path("audits/conftest.py").is_file()


def test_how_training_read_its_set_is_taken_from_the_run_card_for_every_set(init, tiny):
    reading = {"text_column": "body", "form": "blocks", "eos": "once", "group_column": "licence"}
    shutil.copytree(tiny, "student")
    write_run_card(card(training_set=DataOrigin("train", None, 1, 1, reading=reading)), Path("student"))
    write_rows(Path("train.jsonl"), [{"body": "Ann."}])
    sets = ["--training-set=train.jsonl", "--teacher-set=private.jsonl"]
    done = init("--student=student", *sets, "--workflow=none")
    said = 'text_column="body", form="blocks", eos="once", group_column="licence"'
    assert f"read as the student's run card says: {said}" in done.out
    text = Path("audits/conftest.py").read_text()
    assert 'TrainingSet(ROOT / "train.jsonl", text_column="body", form="blocks", eos="once", group_column=' in text
    assert 'TrainingSet(ROOT / "private.jsonl", text_column="body", form="blocks", eos="once")' in text


def test_options_go_before_the_run_card_even_where_they_name_a_default(init, tiny):
    reading = {"text_column": "body", "form": "blocks", "eos": "once"}
    shutil.copytree(tiny, "student")
    write_run_card(card(training_set=DataOrigin("train", None, 1, 1, reading=reading)), Path("student"))
    done = init("--student=student", "--workflow=none", "--form=documents", "--text-column=text", "--eos=never")
    assert "run card says" not in done.out
    assert 'TrainingSet(ROOT / "data/train.jsonl", eos="never")' in Path("audits/conftest.py").read_text()


def test_of_a_training_on_all_turns_the_audit_reads_all_turns(init, tiny):
    shutil.copytree(tiny, "student")
    chat = ChatTraining("t" * 32, "the tokenizer", "all")
    write_run_card(card(training_set=DataOrigin("chat", None, 1, 0, reading={}), chat=chat), Path("student"))
    write_rows(Path("chat.jsonl"), [{"messages": CONVERSATION}])
    assert init("--student=student", "--training-set=chat.jsonl", "--workflow=none").code == 0
    text = Path("audits/conftest.py").read_text()
    assert 'TrainingSet(ROOT / "chat.jsonl", chat_roles="all")' in text
    assert COMMENT not in text


def test_a_run_card_that_cannot_be_read_is_told_and_the_audit_written(init, tiny):
    shutil.copytree(tiny, "student")
    Path("student/kdmem_run.json").write_text("{")
    done = init("--student=student", "--workflow=none")
    assert (done.code, done.out.splitlines()[-1]) == (0, "next: pytest audits")
    assert "warning: " in done.out


def test_the_form_is_declared(init):
    assert init("--form=blocks", "--workflow=none").code == 0
    assert 'form="blocks")' in Path("audits/conftest.py").read_text()
