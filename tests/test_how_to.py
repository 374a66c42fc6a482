"""Pages that show a whole way from commands to figures do what they show, when their commands are run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r'(?ms)^```(?P<kind>\w+)(?: title="(?P<title>[^"]+)")?\n(?P<content>.*?)^```$')
WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True)
class Command:
    """One command of a page, what it prints there, and whether it is said to fail."""

    line: str
    printed: tuple[str, ...]


def commands_of(page: str, folder: Path) -> Iterator[Command]:
    """The commands of a page in order, each once the files that the page shows before it are written to a folder."""
    for block in BLOCK.finditer(page):
        if block["title"]:
            path = folder / block["title"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block["content"], encoding="utf-8")
        if block["kind"] == "console":
            for part in re.split(r"(?m)^\$ ", block["content"])[1:]:
                line, *printed = part.replace("\\\n", "").splitlines()
                yield Command(line, tuple(text.strip() for text in printed if text.strip() not in ("", "…")))


def words(text: str) -> str:
    """The words of a line: trainings on other machines end in other figures, which are held by the gates."""
    return " ".join(WORD.findall(text))


def run_page(name: str, folder: Path) -> dict[str, str]:
    """Run the commands of a page in order, in a folder with its files so far, and return what each printed.

    An audit without options is the one that a page shows failing; nothing else may fail.
    """
    page = (ROOT / name).read_text(encoding="utf-8")
    (folder / "fixtures").symlink_to(ROOT / "fixtures")
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "120",
        "NO_COLOR": "1",
    }
    outputs = {}
    for command in commands_of(page, folder):
        run = subprocess.run(
            shlex.split(command.line), cwd=folder, env=environment, capture_output=True, text=True, timeout=900
        )
        outputs[command.line] = output = run.stdout + run.stderr
        assert run.returncode == (1 if command.line in ("pytest audits/", "pytest audits") else 0), output
        lines = {words(line) for line in output.splitlines()}
        for printed in command.printed:
            assert words(printed) in lines, f"{command.line}: {printed}\n{output}"
    return outputs


@pytest.mark.slow
def test_a_chat_model_is_trained_audited_cleaned_and_released_as_the_page_shows(tmp_path: Path) -> None:
    outputs = run_page("docs/how-to/release-a-chat-model.md", tmp_path)
    # The trainer's own model in memory recites what the saved adapter does.
    training = next(output for line, output in outputs.items() if line.endswith("runs/lora"))
    last_rate = re.findall(r"step \d+: (\d+\.\d\d%) recited", training)[-1]
    assert f"memorization rate of student {last_rate} (" in outputs["pytest audits/"]


@pytest.mark.slow
def test_the_tutorial_distils_audits_fails_cleans_and_passes_as_it_shows(tmp_path: Path) -> None:
    outputs = run_page("docs/tutorial.md", tmp_path)
    failed, passed = (output for line, output in outputs.items() if line.startswith("pytest"))
    assert "memorization rate of student" in failed
    assert "4 passed" in passed
