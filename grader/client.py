"""A running server, asked over its HTTP interface with nothing but the standard library. What it answers is read as hostile.

client = Client("http://127.0.0.1:7860")
attempt = client.submit("lab02", source, mode="check")
for status in client.follow(attempt["id"]): ...
client.report(attempt["id"])
"""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from grader.faults import GraderError, NotGradable
from grader.report import Report
from grader.source import clean
from grader.typed import value_of

PREFIX = "/api/v1"
DEFAULT_SERVER = "http://127.0.0.1:7860"
TIMEOUT_S = 60.0
WAIT_S = 25.0  # of one long poll
OPEN = ("queued", "running")
REFUSAL_LIMIT = 1 << 16  # bytes
ANSWER_LIMIT = 16 << 20  # bytes
ANSWERED_WITHIN_S = 120.0  # to its last byte
ASK_AGAIN_S = 0.2  # a server that does not wait with its answer is not asked without end
# What of an answer is used, and of which type it must be.
_ATTEMPT: Mapping[str, Any] = {
    **dict.fromkeys(("id", "lab", "mode", "state", "phase", "case", "fault", "verdict"), str),
    **dict.fromkeys(("done", "total", "place"), int),
    "points": float | None,
    "created": float,
}
_ME: Mapping[str, Any] = {"user": str, "role": str, "name": str}


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
                return self._whole(answer), answer.headers.get("ETag", "")
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 304:
                    return b"", etag
                if there := error.headers.get("Location"):
                    raise NotGradable(
                        f"{self.server} sends on to {clean(there, 200)!r}; if you trust it, give it as --server."
                    ) from None
                sentence = _sentence(error.read(REFUSAL_LIMIT), error.code)
            raise (GraderError if error.code in (500, 502) else NotGradable)(sentence) from None
        except (OSError, http.client.HTTPException) as error:
            raise NotGradable(f"{self.server} does not answer: {getattr(error, 'reason', error)}.") from None

    def _whole(self, answer: http.client.HTTPResponse) -> bytes:
        body, deadline = bytearray(), time.monotonic() + ANSWERED_WITHIN_S
        while part := answer.read1(1 << 16):
            body += part
            if len(body) > ANSWER_LIMIT or time.monotonic() > deadline:
                raise NotGradable(f"{self.server} answers without end.")
        return bytes(body)

    def get(self, path: str, fields: Mapping[str, Any] | None = None) -> Any:
        """What is answered there; `fields` as `_read` has them."""
        return self._read(self.ask("GET", path)[0], fields)

    def _read(self, body: bytes, fields: Mapping[str, Any] | None = None, *, many: bool = False) -> Any:
        """An answer as JSON; with `fields` these alone, each of its type and each text on one line. `many`: a list of such."""
        try:
            found = json.loads(body)
            if fields is None:
                return found
            return [_checked(each, fields) for each in value_of(list, found, "answer")] if many else _checked(found, fields)
        except (ValueError, KeyError, TypeError, RecursionError):
            raise NotGradable(f"{self.server} answers, and not as the grader's HTTP interface does.") from None

    def log_in(self, *, token: str = "", code: str = "") -> dict[str, Any]:
        """Be somebody there from now on: by a token, or a new one; `code`: stand for a learner of the roster. Returns /me."""
        self.token = token or self.token or self._read(self.ask("POST", "/token")[0], {"token": str})["token"]
        if code:
            self.ask("POST", "/me/join", {"code": code})
        found: dict[str, Any] = self.get("/me", _ME)
        keep_token(self.server, self.token)
        return found

    def submit(self, lab: str, source: str, *, mode: str, prediction: float | None = None) -> dict[str, Any]:
        """Hand in; returns the attempt."""
        if not self.token:
            self.log_in()
        sent: dict[str, Any] = {"lab": lab, "source": source, "mode": mode, "prediction": prediction}
        attempt: dict[str, Any] = self._read(self.ask("POST", "/attempts", sent)[0], _ATTEMPT)
        return attempt

    def status(self, attempt_id: str) -> dict[str, Any]:
        """The attempt now."""
        found: dict[str, Any] = self.get(address(attempt_id), _ATTEMPT)
        return found

    def follow(self, attempt_id: str) -> Iterator[dict[str, Any]]:
        """The attempt now and whenever something changed, until it has ended."""
        etag, path = "", address(attempt_id)
        while True:
            asked = time.monotonic()
            body, etag = self.ask("GET", f"{path}?wait={WAIT_S}" if etag else path, etag=etag)
            if body:
                status: dict[str, Any] = self._read(body, _ATTEMPT)
                yield status
                if status["state"] not in OPEN:
                    return
            time.sleep(max(0.0, asked + ASK_AGAIN_S - time.monotonic()))

    def report(self, attempt_id: str) -> Report | None:
        """The report, once there is one."""
        body = self.ask("GET", f"{address(attempt_id)}/report")[0]
        try:
            return None if body == b"null" else Report.from_json(body.decode())
        except ValueError:
            raise NotGradable(f"{self.server} answers, and with no report.") from None

    def history(self, lab: str = "", *, most: int = 20) -> list[dict[str, Any]]:
        """One's attempts, the newest first."""
        body = self.ask("GET", f"/attempts?{urlencode({'lab': lab, 'most': most})}")[0]
        found: list[dict[str, Any]] = self._read(body, _ATTEMPT, many=True)
        return found


def address(attempt_id: str) -> str:
    """Where an attempt stands, whatever somebody takes for its id."""
    return f"/attempts/{quote(attempt_id, safe='')}"


def _checked(found: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    read = {name: value_of(hint, found[name], name) for name, hint in fields.items()}
    return {name: " ".join(clean(value).split()) if isinstance(value, str) else value for name, value in read.items()}


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
