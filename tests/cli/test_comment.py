"""`kdmem comment` against a server that answers as GitHub's and GitLab's do: created once, then edited in place."""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest

from tests.report.audits import DATA

MARKER = "<!-- pytest-kdmem: memorization-audit -->"
TOKEN = "ghs_abcdefghijklmnopqrstuvwxyz"
BOT = {"user": {"type": "Bot", "login": "github-actions[bot]"}, "author_association": "NONE", "author": {"id": 7}}
STRANGER = {"user": {"type": "User", "login": "someone"}, "author_association": "NONE", "author": {"id": 8}}


class Service(ThreadingHTTPServer):
    """What GitHub and GitLab hold of the comments on pull request 5, and the requests that came."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.comments: list[dict[str, Any]] = []
        self.requests: list[tuple[str, str]] = []
        self.tokens: set[str | None] = set()
        self.refusal: int | None = None
        self.answer: bytes | None = None
        self.redirection: str | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Service

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.handle_request()

    do_POST = do_PATCH = do_PUT = do_GET

    def handle_request(self) -> None:
        service, address = self.server, urlparse(self.path)
        service.requests.append((self.command, address.path))
        service.tokens.add(self.headers["Authorization"] or self.headers["PRIVATE-TOKEN"])
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"] or 0)) or "null")
        if service.redirection:
            self.send_response(302)
            self.send_header("Location", service.redirection)
            self.end_headers()
        elif service.refusal:
            self.send(service.refusal, {"message": "Resource not accessible by integration"})
        elif address.path == "/user":
            self.send(200, {"id": 7})
        elif address.path.endswith("/pulls"):
            self.send(200, [{"number": 4, "state": "closed"}, {"number": 5, "state": "open"}])
        elif self.command == "GET":
            query = parse_qs(address.query)
            page, size = int(query.get("page", ["1"])[0]), int(query.get("per_page", ["30"])[0])
            self.send(200, service.comments[(page - 1) * size : page * size])
        elif self.command == "POST":
            service.comments.append({"id": 1000 + len(service.comments), "body": content["body"], **BOT})
            self.send(201, service.comments[-1])
        else:
            [edited] = [entry for entry in service.comments if address.path.endswith(f"/{entry['id']}")]
            edited["body"] = content["body"]
            self.send(200, edited)

    def send(self, status: int, content: Any) -> None:
        body = self.server.answer or json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def service() -> Iterator[Service]:
    yield from running()


@pytest.fixture
def service_elsewhere() -> Iterator[Service]:
    yield from running()


def running() -> Iterator[Service]:
    service = Service()
    thread = threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield service
    service.shutdown()
    thread.join()
    service.server_close()


@pytest.fixture
def github(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    """A job of GitHub Actions for pull request 5."""
    event = {"pull_request": {"number": 5, "head": {"sha": "abcdef0123456789"}}}
    (tmp_path / "event.json").write_text(json.dumps(event))
    for name, value in {
        "GITHUB_API_URL": service.address,
        "GITHUB_REPOSITORY": "owner/name",
        "GITHUB_EVENT_PATH": str(tmp_path / "event.json"),
        "GITHUB_TOKEN": TOKEN,
        "GITHUB_SHA": "fedcba",
        "GITHUB_ACTIONS": "true",
    }.items():
        monkeypatch.setenv(name, value)
    return service


@pytest.fixture
def gitlab(service: Service, monkeypatch: pytest.MonkeyPatch) -> Service:
    """A job of GitLab CI for merge request 5."""
    for name in ("GITHUB_EVENT_PATH", "GITHUB_ACTIONS", "GITHUB_SHA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "CI_API_V4_URL": service.address, "CI_PROJECT_ID": "12", "CI_MERGE_REQUEST_IID": "5",
        "CI_COMMIT_SHA": "abcdef0123456789", "GITLAB_TOKEN": TOKEN,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    return service


@pytest.fixture(autouse=True)
def record(tmp_path: Path) -> Path:
    shutil.copy(DATA / "green.json", tmp_path / "green.json")
    return Path(shutil.copy(DATA / "red.json", tmp_path / "audit.json"))


def test_without_a_service_the_comment_is_printed(kdmem, github):
    done = kdmem("comment", "audit.json", "--link", "https://example.org/audit.html")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"{MARKER}\n## ❌ Do not ship")
    assert "[HTML report](https://example.org/audit.html) · commit `abcdef012345`" in done.out
    assert github.requests == []


def test_the_first_run_creates_the_comment_and_later_ones_edit_it(kdmem, github):
    first = kdmem("comment", "audit.json", "--post", "github")
    assert (first.code, first.out.strip(), first.err) == (0, "the comment is posted", "")
    assert [entry["body"].splitlines()[1][:16] for entry in github.comments] == ["## ❌ Do not ship"]
    kdmem("comment", "green.json", "--post", "github")
    assert [entry["body"].splitlines()[1][:14] for entry in github.comments] == ["## ✅ May ship:"[:14]]
    assert github.requests == [
        ("GET", "/repos/owner/name/issues/5/comments"), ("POST", "/repos/owner/name/issues/5/comments"),
        ("GET", "/repos/owner/name/issues/5/comments"), ("PATCH", "/repos/owner/name/issues/comments/1000"),
    ]  # fmt: skip
    assert github.tokens == {f"Bearer {TOKEN}"}


def test_a_comment_on_a_later_page_is_found(kdmem, github):
    github.comments += [{"id": number, "body": "talk", **STRANGER} for number in range(250)]
    kdmem("comment", "audit.json", "--post", "github")
    kdmem("comment", "audit.json", "--post", "github")
    assert len(github.comments) == 251
    assert [method for method, _ in github.requests].count("POST") == 1


def test_audits_of_other_names_have_comments_of_their_own(kdmem, github):
    for name in ("a", "b", "a"):
        kdmem("comment", "audit.json", "--post", "github", "--name", name)
    assert [entry["body"].split("\n")[0] for entry in github.comments] == [
        "<!-- pytest-kdmem: a -->", "<!-- pytest-kdmem: b -->",
    ]  # fmt: skip


def test_a_stranger_s_comment_with_our_marker_is_not_edited(kdmem, github):
    """Its author could change the verdict afterwards."""
    github.comments.append({"id": 1, "body": f"{MARKER}\n## ✅ May ship", **STRANGER})
    kdmem("comment", "audit.json", "--post", "github")
    kdmem("comment", "audit.json", "--post", "github")
    assert len(github.comments) == 2
    assert github.comments[0]["body"] == f"{MARKER}\n## ✅ May ship"


def test_the_open_pull_request_of_a_pushed_commit_is_found(kdmem, github, tmp_path):
    (tmp_path / "event.json").write_text('{"ref": "refs/heads/x"}')
    kdmem("comment", "audit.json", "--post", "github")
    assert github.requests[0] == ("GET", "/repos/owner/name/commits/fedcba/pulls")
    assert github.requests[-1] == ("POST", "/repos/owner/name/issues/5/comments")
    assert "commit `fedcba`" in github.comments[0]["body"]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_token_that_may_not_comment_is_a_warning_and_no_failure(kdmem, github, status):
    github.refusal = status
    done = kdmem("comment", "audit.json", "--post", "github")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"::warning title=memorization audit::The comment could not be posted (HTTP {status})")
    assert "the permission pull-requests: write was expected" in done.out
    assert TOKEN not in done.out
    assert github.comments == []


@pytest.mark.parametrize(
    "answer", [b"<html>", b"[]]", b'{"a": 1}', b"[1]", b"[null]", b'[{"id": 1}]', b"null", b'"' * 9]
)
def test_an_answer_of_no_service_is_a_warning(kdmem, github, answer):
    github.answer = answer
    done = kdmem("comment", "audit.json", "--post", "github")
    assert (done.code, done.err) == (0, "")
    assert re.match(
        r"::warning title=.*::The comment could not be posted \(\w+\); the verdict is still the audit's", done.out
    )


def test_a_service_that_does_not_answer_is_a_warning(kdmem, github, monkeypatch):
    for address in ("http://127.0.0.1:9", "http://127.0.0.1:99999", "http://no such host"):
        monkeypatch.setenv("GITHUB_API_URL", address)
        done = kdmem("comment", "audit.json", "--post", "github")
        assert (done.code, done.err) == (0, "")
        assert done.out.startswith("::warning ")


@pytest.mark.parametrize(
    ("variable", "value"),
    [("GITHUB_TOKEN", ""), ("GITHUB_TOKEN", "a\nb"), ("GITHUB_API_URL", "file:///etc/passwd"),
     ("GITHUB_REPOSITORY", "a/b/../c")],
)  # fmt: skip
def test_what_is_missing_in_the_environment_is_a_warning(kdmem, github, monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    done = kdmem("comment", "audit.json", "--post", "github")
    assert (done.code, done.err) == (0, "")
    assert f"The variable {variable} of a CI job was expected in the environment" in done.out
    assert github.requests == []


def test_the_token_follows_no_redirection(kdmem, github, service_elsewhere, monkeypatch):
    github.redirection = f"{service_elsewhere.address}/taken"
    done = kdmem("comment", "audit.json", "--post", "github")
    assert done.code == 0
    assert service_elsewhere.requests[0] == ("GET", "/taken")
    assert service_elsewhere.tokens == {None}


def test_a_failed_audit_without_a_report_says_so_in_place_of_an_older_verdict(kdmem, github, tmp_path):
    kdmem("comment", "green.json", "--post", "github")
    (tmp_path / "audit.json").unlink()
    done = kdmem("comment", "audit.json", "--post", "github", "--exit-code", "2")
    assert done.code == 0
    [entry] = github.comments
    assert "Do not ship: the audit ended with exit code 2 and wrote no report" in entry["body"]
    assert "May ship" not in entry["body"]
    assert kdmem("comment", "audit.json", "--exit-code", "0").code == 2
    assert kdmem("comment", "audit.json").code == 2


def test_a_report_before_is_compared_with_if_it_is_there(kdmem, github, tmp_path):
    assert "| figure | value |" in kdmem("comment", "audit.json", "--before", "absent.json").out
    assert (
        "| figure | before (base branch) | now | change |"
        in kdmem("comment", "audit.json", "--before", "green.json").out
    )
    (tmp_path / "broken.json").write_text("{")
    done = kdmem("comment", "audit.json", "--before", "broken.json")
    assert done.code == 0
    assert "No figures before are shown: An audit report was expected in broken.json" in done.out


def test_a_note_of_a_merge_request_is_created_and_edited(kdmem, gitlab):
    gitlab.comments.append({"id": 1, "body": MARKER, **STRANGER})
    for _ in range(2):
        done = kdmem("comment", "audit.json", "--post", "gitlab")
        assert (done.code, done.out.strip()) == (0, "the comment is posted")
    assert len(gitlab.comments) == 2
    assert gitlab.requests[-1] == ("PUT", "/projects/12/merge_requests/5/notes/1001")
    assert gitlab.tokens == {TOKEN}
    assert "commit `abcdef012345`" in gitlab.comments[1]["body"]


def test_a_pipeline_of_no_merge_request_posts_nothing(kdmem, gitlab, monkeypatch):
    monkeypatch.delenv("CI_MERGE_REQUEST_IID")
    done = kdmem("comment", "audit.json", "--post", "gitlab")
    assert (done.code, done.out.strip()) == (0, "this job has no pull request, and no comment is posted")
    assert gitlab.requests == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--link", "https://x.y/a) [b](c"], "--link must be an address"),
        (["--link", "javascript:alert(1)"], "--link must be an address"),
        (["--post", "bitbucket"], "--post must be github or gitlab; found 'bitbucket'."),
    ],
)
def test_wrong_arguments_are_usage_errors(kdmem, github, arguments, message):
    done = kdmem("comment", "audit.json", *arguments)
    assert done.code == 2
    assert message in done.err
    assert github.requests == []
