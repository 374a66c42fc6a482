"""Makes the README's pictures of the terminal and HTML reports from the saved report of a real audit.

    pytest audits/pythia --kdmem-report=audit.json
    python docs/make_pictures.py audit.json

It needs Chromium, and playwright from the extra `dev`.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from pytest_kdmem.auditing.report import Report, read_report
from pytest_kdmem.report import html, terminal

PICTURES = Path(__file__).parent / "pictures"
TERMINAL_COLUMNS = 100
PAGE_HEIGHT = 1180  # pixels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("record", type=Path, help="JSON report of the audit")
    report = read_report(parser.parse_args().record)
    chromium = os.environ.get("KDMEM_CHROMIUM") or shutil.which("chromium")
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        pages: tuple[tuple[str, str, Any, int], ...] = (
            ("terminal", terminal_page(report), "dark", 900),
            ("html-light", html.render(report), "light", 1100),
            ("html-dark", html.render(report), "dark", 1100),
        )
        for name, content, scheme, width in pages:
            page = browser.new_page(viewport={"width": width, "height": PAGE_HEIGHT}, color_scheme=scheme)
            path = Path(scratch) / f"{name}.html"
            path.write_text(content, encoding="utf-8")
            page.goto(path.as_uri())
            target = page.locator("pre") if name == "terminal" else page
            target.screenshot(path=PICTURES / f"{name}.png")
            print(PICTURES / f"{name}.png")
        browser.close()


def terminal_page(report: Report) -> str:
    """Return an HTML page that shows the terminal report in its colours."""
    console = Console(file=io.StringIO(), record=True, width=TERMINAL_COLUMNS, force_terminal=True)
    console.print(
        Text.from_ansi(f"$ pytest audits/pythia\n{terminal.render(report, width=TERMINAL_COLUMNS, color=True)}")
    )
    page = console.export_html(theme=MONOKAI, inline_styles=True)
    return page.replace('<pre style="', '<pre style="display:inline-block;padding:1rem;margin:0;background:#16181b;')


if __name__ == "__main__":
    main()
