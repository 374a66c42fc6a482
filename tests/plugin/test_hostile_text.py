"""A training set full of hostile text breaks no report, and no report, log or cache file tells any of it unasked."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest
from markdown_it import MarkdownIt
from typer.testing import CliRunner

from pytest_kdmem.cli import app

GATES = """
def test_rate(memorization, student):
    assert memorization(student).rate <= 0.02

def test_ratio(inheritance, accepted):
    assert inheritance().ratio <= 0.5

def test_all(memorization, student):
    assert memorization(student, metrics="all").rate <= 0.9
"""
FORMATS = ("json", "html", "md", "sarif")
# Words of the models' tokenizer, each of which does something somewhere.
EVIL = (
    "<script>alert(1)</script>", "</td></table>", "<!--", "]]>", "::error::owned", "##[error]owned", "\x1b[31mred",
    "\x9b2J", "\u202eevil\u202c", "`code`", "|", "[x](http://evil.example)", "@maintainer", "&#64;", "{{7*7}}", "%0A",
    "\u2028", "a\x00b", "<img/src=x/onerror=alert(1)>", "\ufeff", "https://evil.example", "'\"", "$(id)", "${{x}}",
)  # fmt: skip


@pytest.fixture
def hostile(audit_project, tmp_path_factory):
    """Models whose words are hostile ones, and a training set that holds them, and worse."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {"<|endoftext|>": 0}
    words |= {f"{EVIL[token % len(EVIL)]}{token:03d}".replace(" ", ""): token for token in range(1, 300)}
    inner = Tokenizer(models.WordLevel(words, unk_token="<|endoftext|>"))
    inner.pre_tokenizer = pre_tokenizers.Split(" ", "removed")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|endoftext|>")
    folders = {}
    for role in ("teacher", "baseline", "student"):
        folders[role] = tmp_path_factory.mktemp("hostile") / f"{role} <b>`|::error::"
        shutil.copytree(getattr(audit_project.cast, role), folders[role])
        tokenizer.save_pretrained(folders[role])
    spelled = {token: word for word, token in words.items()}
    texts = [" ".join(spelled[token] for token in row) for row in audit_project.cast.rows.tolist()]
    lines = [json.dumps({"text": text}) for text in texts]
    lines.append(json.dumps({"text": "lone \ud800 surrogates \udfff " * 30}))  # as escapes, which JSON lets pass
    lines.append(json.dumps({"text": "x" * 2_000_000}))
    lines.append(json.dumps({"text": "\u202e\u2066 " * 40 + "::error::owned\n::error::owned\r##[error]x\n" * 20}))
    (audit_project.path / "data.jsonl").write_text("\n".join(lines), encoding="utf-8")
    audit_project.configure(kdmem_baseline_file="accepted.json")
    audit_project.declare(data='TrainingSet("data.jsonl")', **folders)
    audit_project.gates(GATES)
    return audit_project, texts


def audited(project, monkeypatch, *arguments: str):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project.path / "summary.md"))
    reports = [f"--kdmem-report=out/audit.{ending}" for ending in FORMATS]
    project.run("--kdmem-update-baseline-file")
    result = project.run("--junitxml=out/junit.xml", "-v", *reports, *arguments)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.parseoutcomes()["failed"] == 1
    return result


def check_whole(project, result) -> None:
    """Every format is what it says it is, and the log gives no command but our own."""
    json.loads((project.path / "out/audit.json").read_text(encoding="utf-8"))
    json.loads((project.path / "out/audit.sarif").read_text(encoding="utf-8"))
    ElementTree.parse(project.path / "out/junit.xml")
    page = (project.path / "out/audit.html").read_text(encoding="utf-8")
    assert page.count("<script>") == 1
    assert "<img" not in page
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028]", page)
    for name in ("out/audit.md", "summary.md"):
        parsed = MarkdownIt("commonmark").enable("table").parse((project.path / name).read_text(encoding="utf-8"))
        elements = [element for token in parsed for element in (token, *(token.children or ()))]
        tags = {
            tag
            for element in elements
            if element.type.startswith("html_")
            for tag in re.findall(r"</?(\w+)", element.content)
        }
        assert tags <= {"details", "summary", "br", "sub"}
        assert not [element for element in elements if element.type in ("link_open", "image")]
    log = result.stdout.str()
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", log)
    commands = [line for line in log.splitlines() if line.lstrip().startswith("::")]
    assert len(commands) == 1
    assert commands[0].startswith("::error file=test_audit.py,line=2,")
    assert "##[" not in log


def test_with_text_hidden_no_eight_words_in_a_row_are_told_anywhere(hostile, monkeypatch):
    project, texts = hostile
    result = audited(project, monkeypatch)
    check_whole(project, result)
    outputs = {"stdout": result.stdout.str().encode(), "stderr": result.stderr.str().encode()}
    scores = project.path / ".kdmem"
    for path in project.path.rglob("*"):
        if path.is_file() and path.name not in ("data.jsonl", "data.npy"):
            outputs[str(path)] = path.read_bytes()
    assert any(str(scores) in name for name in outputs)
    for text in texts:
        words = text.split(" ")
        for start in range(len(words) - 7):
            shown = " ".join(words[start : start + 8])
            spelled = {shown.encode(), json.dumps(shown)[1:-1].encode()}
            for name, content in outputs.items():
                assert not any(spelling in content for spelling in spelled), (name, shown)


def test_with_text_shown_it_breaks_nothing_and_every_format_renders_from_its_saved_record(hostile, monkeypatch):
    project, texts = hostile
    result = audited(project, monkeypatch, "--kdmem-show-text")
    check_whole(project, result)
    entry = project.report("out/audit.json").examples
    shown = dict(zip(entry.example_id, zip(entry.prefix, entry.suffix, strict=True), strict=True))
    example = min(project.cast.recited_by("student"))
    words = texts[example].split(" ")
    assert shown[example][0].split(" ")[:3] == words[:3]
    assert shown[example][1].split(" ")[-1] == words[-1]
    assert "alert(1)" in (project.path / "out/audit.html").read_text(encoding="utf-8")
    assert "alert(1)" not in result.stdout.str()
    generated = entry.models["student"].generated
    assert generated[entry.example_id.index(example)] == shown[example][1]
    others = [text for text, row in zip(generated, entry.example_id, strict=True) if text != shown[row][1]]
    assert others  # of what the teacher recites, the student says something else
    # What a model generates stands where the text of the training set may, and nowhere else.
    files = [path for path in project.path.rglob("*") if path.is_file() and path.suffix not in (".jsonl", ".npy")]
    assert any(".kdmem" in path.parts for path in files)
    for text in others:
        beginning = " ".join(text.split(" ")[:8])
        spelled = {beginning, json.dumps(beginning)[1:-1], json.dumps(beginning, ensure_ascii=False)[1:-1]}
        where = {path.name for path in files if any(each.encode() in path.read_bytes() for each in spelled)}
        assert where <= {"audit.json"}  # in the page it is escaped and marked
    check_rendered_again(project.path / "out")


def check_rendered_again(folder: Path) -> None:
    """What `kdmem report` renders from the record is what the audit wrote."""
    paths = [folder / f"again.{ending}" for ending in (*FORMATS, "xml", "txt")]
    arguments = [argument for path in paths for argument in ("--to", str(path))]
    result = CliRunner().invoke(app, ["report", str(folder / "audit.json"), *arguments])
    assert result.exit_code == 0, result.output
    for ending in FORMATS:
        assert (folder / f"again.{ending}").read_bytes() == (folder / f"audit.{ending}").read_bytes()
    ElementTree.parse(folder / "again.xml")
    assert "memorization rate of student" in (folder / "again.txt").read_text()
