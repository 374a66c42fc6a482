"""Posts a comment on the pull request of a CI job, or edits the one that an earlier run posted there."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

from pytest_kdmem.errors import DataError

TIMEOUT = 30  # seconds
PER_PAGE, MAX_PAGES = 100, 100
# Authors of comments that are edited: bots, and people who may write to the repository. Anyone else could post a
# comment with our marker and change later what is written into it.
TRUSTED_AUTHORS = ("OWNER", "MEMBER", "COLLABORATOR")
VERDICT = "the verdict is still the audit's exit code"
REFUSED = (401, 403, 404)
# What reading an answer that is not of the service's form raises.
UNEXPECTED = (OSError, HTTPException, ValueError, KeyError, TypeError, AttributeError)


@dataclass(frozen=True)
class Service:
    """A service that hosts the repository, with the access that a CI job has to it.

    Attributes:
        address: Address of its API.
        headers: Headers of each request; they hold the token.
        permission: What a token needs, for messages.
    """

    address: str
    headers: Mapping[str, str]
    permission: str

    def request(self, path: str, method: str = "GET", content: Mapping[str, str] | None = None) -> Any:
        """Send a request and return the JSON of the answer.

        Raises:
            DataError: There is no answer, or a refusal.
        """
        body = None if content is None else json.dumps(content).encode()
        request = Request(f"{self.address}/{path}", body, {"Content-Type": "application/json"}, method=method)
        for name, value in self.headers.items():
            request.add_unredirected_header(name, value)  # the token goes to no other address
        try:
            with urlopen(request, timeout=TIMEOUT) as answer:
                return json.loads(answer.read())
        except HTTPError as error:
            advice = f": a token with {self.permission} was expected, which runs for a fork's changes do not have"
            refusal = advice if error.code in REFUSED else ""
            raise DataError(f"The comment could not be posted (HTTP {error.code}){refusal}; {VERDICT}.") from None
        except UNEXPECTED as error:
            raise DataError(f"The comment could not be posted ({type(error).__name__}); {VERDICT}.") from None


@dataclass(frozen=True)
class Thread:
    """The comments of one pull request.

    Attributes:
        service: Service that has them.
        comments: Path at which comments are listed and posted.
        comment: Path of a comment, to which its id is appended.
        edit_method: HTTP method that edits a comment.
        is_trusted: Whether the author of a comment can be trusted with it.
    """

    service: Service
    comments: str
    comment: str
    edit_method: str
    is_trusted: Callable[[Mapping[str, Any]], bool]


def post(find_threads: Callable[[], list[Thread]], marker: str, body: str) -> int:
    """Post a comment on each pull request of this job, or edit the comment that begins with the marker.

    Returns the number of pull requests; 0 if the job has none.

    Raises:
        DataError: The service cannot be reached or refuses.
    """
    try:
        threads = find_threads()
        for thread in threads:
            earlier = next((entry for entry in _comments(thread) if _is_ours(entry, thread, marker)), None)
            if earlier is None:
                thread.service.request(thread.comments, "POST", {"body": body})
            else:
                thread.service.request(f"{thread.comment}/{int(earlier['id'])}", thread.edit_method, {"body": body})
    except UNEXPECTED as error:
        raise DataError(f"The comment could not be posted ({type(error).__name__}); {VERDICT}.") from None
    return len(threads)


def github_threads() -> list[Thread]:
    """Return the pull request of this job in GitHub Actions: of its event, or the open ones of its commit.

    Raises:
        DataError: The job has no token, or this is no job of GitHub Actions.
    """
    repository = _variable("GITHUB_REPOSITORY", r"[\w.-]+/[\w.-]+")
    service = Service(
        _variable("GITHUB_API_URL", r"https?://\S+"),
        {
            "Authorization": f"Bearer {_variable('GITHUB_TOKEN', r'[!-~]+')}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
        },
        "the permission pull-requests: write",
    )
    pull_request = github_event().get("pull_request")
    if pull_request is None:
        commit = _variable("GITHUB_SHA", r"[0-9a-f]+")
        pulls = service.request(f"repos/{repository}/commits/{commit}/pulls")
        numbers = [int(pull["number"]) for pull in pulls if pull["state"] == "open"]
    else:
        numbers = [int(pull_request["number"])]
    issues = f"repos/{repository}/issues"
    return [
        Thread(service, f"{issues}/{number}/comments", f"{issues}/comments", "PATCH", _is_trusted_on_github)
        for number in numbers
    ]


def gitlab_threads() -> list[Thread]:
    """Return the merge request of this job in GitLab CI; none if the pipeline is of no merge request.

    Raises:
        DataError: The job has no token, or this is no job of GitLab CI.
    """
    project = quote(_variable("CI_PROJECT_ID", r"\d+"), safe="")
    if not os.environ.get("CI_MERGE_REQUEST_IID"):
        return []
    number = _variable("CI_MERGE_REQUEST_IID", r"\d+")
    token = _variable("GITLAB_TOKEN", r"[!-~]+")
    service = Service(_variable("CI_API_V4_URL", r"https?://\S+"), {"PRIVATE-TOKEN": token}, "the scope api")
    own_id = service.request("user")["id"]
    notes = f"projects/{project}/merge_requests/{number}/notes"
    return [Thread(service, notes, notes, "PUT", lambda note: bool(note["author"]["id"] == own_id))]


def github_event() -> dict[str, Any]:
    """Return the event that started this job of GitHub Actions; empty elsewhere."""
    path = os.environ.get("GITHUB_EVENT_PATH")
    event = json.loads(Path(path).read_text(encoding="utf-8")) if path else {}
    return event if isinstance(event, dict) else {}


def audited_commit() -> str:
    """Return the commit of this job; for a pull request its last one, and not the merge that CI makes of it."""
    try:
        head = github_event()["pull_request"]["head"]["sha"]
    except UNEXPECTED:
        head = os.environ.get("GITHUB_SHA") or os.environ.get("CI_COMMIT_SHA") or ""
    return head if re.fullmatch("[0-9a-f]+", str(head)) else ""


def _variable(name: str, pattern: str) -> str:
    """Return a variable of the environment; its value may be a secret and is not shown."""
    value = os.environ.get(name, "")
    if not re.fullmatch(pattern, value):
        found = "another value" if value else "none"
        raise DataError(
            f"The variable {name} of a CI job was expected in the environment; found {found}: no comment is posted, and"
            f" {VERDICT}."
        )
    return value.rstrip("/")


def _comments(thread: Thread) -> Iterator[Mapping[str, Any]]:
    for page in range(1, MAX_PAGES + 1):
        entries = thread.service.request(f"{thread.comments}?per_page={PER_PAGE}&page={page}")
        yield from entries
        if len(entries) < PER_PAGE:
            return
    raise ValueError(f"more than {PER_PAGE * MAX_PAGES} comments")


def _is_ours(comment: Mapping[str, Any], thread: Thread, marker: str) -> bool:
    return str(comment["body"]).startswith(marker) and thread.is_trusted(comment)


def _is_trusted_on_github(comment: Mapping[str, Any]) -> bool:
    author = comment.get("user") or {}
    return author.get("type") == "Bot" or comment.get("author_association") in TRUSTED_AUTHORS
