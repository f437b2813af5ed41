"""A running server, asked over its HTTP interface with nothing but the standard library.

client = Client("http://127.0.0.1:7860")
attempt = client.submit("lab02", source, mode="check")
for status in client.follow(attempt["id"]): ...
client.report(attempt["id"])
"""

from __future__ import annotations

import http.client
import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from grader.faults import GraderError, NotGradable
from grader.report import Report
from grader.source import clean

PREFIX = "/api/v1"
DEFAULT_SERVER = "http://127.0.0.1:7860"
TIMEOUT_S = 60.0
WAIT_S = 25.0  # of one long poll
OPEN = ("queued", "running")
ANSWER_LIMIT = 1 << 16  # bytes of a refusal


class _Stays(urllib.request.HTTPRedirectHandler):
    """Follows no redirection: the token and the source would go along, to whatever host the answer names."""

    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_Stays)


class Client:
    """One server and who one is there. Without a token, one is asked for at the first hand-in and kept."""

    def __init__(self, server: str = "", *, token: str = "") -> None:
        self.server = (server or os.environ.get("GRADER_SERVER") or DEFAULT_SERVER).rstrip("/")
        if not self.server.startswith(("http://", "https://")):
            raise NotGradable(f"--server {self.server!r:.80} must begin with http:// or https://.")
        self.token = token or os.environ.get("GRADER_TOKEN") or kept_tokens().get(self.server, "")

    def ask(self, method: str, path: str, data: Any = None, *, etag: str = "") -> tuple[bytes, str]:
        """Body and ETag; an empty body where nothing has changed since `etag`.

        Raises:
            NotGradable: the server refused, or cannot be reached; one sentence.
            GraderError: the server failed.
        """
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if etag:
            headers["If-None-Match"] = etag
        body = None
        if data is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(data).encode()
        request = urllib.request.Request(self.server + PREFIX + path, body, headers, method=method)
        try:
            with _OPENER.open(request, timeout=TIMEOUT_S) as answer:
                return answer.read(), answer.headers.get("ETag", "")
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 304:
                    return b"", etag
                if there := error.headers.get("Location"):
                    raise NotGradable(
                        f"{self.server} sends on to {clean(there, 200)!r}; if you trust it, give it as --server."
                    ) from None
                sentence = _sentence(error.read(ANSWER_LIMIT), error.code)
            raise (GraderError if error.code in (500, 502) else NotGradable)(sentence) from None
        except (OSError, http.client.HTTPException) as error:
            raise NotGradable(f"{self.server} does not answer: {getattr(error, 'reason', error)}.") from None

    def get(self, path: str) -> Any:
        return json.loads(self.ask("GET", path)[0])

    def log_in(self, *, token: str = "", code: str = "") -> dict[str, Any]:
        """Be somebody there from now on: by a token, or a new one; `code`: stand for a learner of the roster. Returns /me."""
        self.token = token or self.token or json.loads(self.ask("POST", "/token")[0])["token"]
        if code:
            self.ask("POST", "/me/join", {"code": code})
        found: dict[str, Any] = self.get("/me")
        keep_token(self.server, self.token)
        return found

    def submit(self, lab: str, source: str, *, mode: str, prediction: float | None = None) -> dict[str, Any]:
        """Hand in; returns the attempt."""
        if not self.token:
            self.log_in()
        sent: dict[str, Any] = {"lab": lab, "source": source, "mode": mode, "prediction": prediction}
        attempt: dict[str, Any] = json.loads(self.ask("POST", "/attempts", sent)[0])
        return attempt

    def follow(self, attempt_id: str) -> Iterator[dict[str, Any]]:
        """The attempt now and whenever something changed, until it has ended."""
        etag, path = "", address(attempt_id)
        while True:
            body, etag = self.ask("GET", f"{path}?wait={WAIT_S}" if etag else path, etag=etag)
            if body:
                status: dict[str, Any] = json.loads(body)
                yield status
                if status["state"] not in OPEN:
                    return

    def report(self, attempt_id: str) -> Report | None:
        """The report, once there is one."""
        text = self.ask("GET", f"{address(attempt_id)}/report")[0].decode()
        return None if text == "null" else Report.from_json(text)

    def history(self, lab: str = "", *, most: int = 20) -> list[dict[str, Any]]:
        """One's attempts, the newest first."""
        found: list[dict[str, Any]] = self.get(f"/attempts?{urlencode({'lab': lab, 'most': most})}")
        return found


def address(attempt_id: str) -> str:
    """Where an attempt stands, whatever somebody takes for its id."""
    return f"/attempts/{quote(attempt_id, safe='')}"


def _sentence(body: bytes, code: int) -> str:
    try:
        return clean(str(json.loads(body)["error"]))
    except (ValueError, KeyError, TypeError):
        return f"The server answered {code}, and not as the grader's HTTP interface does."


def token_file() -> Path:
    """Where tokens are kept, by server; for this user's eyes alone."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "attention-kernels" / "tokens.json"


def kept_tokens() -> dict[str, str]:
    try:
        found = json.loads(token_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def keep_token(server: str, token: str) -> None:
    path = token_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}")
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(kept_tokens() | {server: token}, file, indent=1)
        part.replace(path)
    except OSError as error:
        raise NotGradable(f"The token cannot be kept in {path}: {error.strerror}; set GRADER_TOKEN instead.") from error
