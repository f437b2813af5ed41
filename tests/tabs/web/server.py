"""The HTTP interface over a real course of a fresh folder, on a real port, without the page: what its tests talk to."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette

from grader.course import Course, Quota
from tabs.page.identity import Identities
from tabs.web.app import PREFIX, mount

KEY = b"a key for tests, long enough"
LAB = "lab02_safe_softmax"


@dataclasses.dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        return str(self.json["error"])


@dataclasses.dataclass
class Web:
    course: Course
    identities: Identities
    port: int

    def __post_init__(self) -> None:
        self.teacher = self.course.new_instructor_token()
        self.learner = self.identities.issue().token
        self.user = self.identities.read(self.learner).id

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, *, token: str = "", data: Any = None, **headers: str) -> Answer:
        """`data`: text and bytes go as they are, anything else as JSON."""
        sent = {"Authorization": f"Bearer {token}"} if token else {}
        body = data.encode() if isinstance(data, str) else data
        if not isinstance(body, bytes | None):
            body = json.dumps(data).encode()
        if data is not None:
            sent["Content-Type"] = "text/csv" if isinstance(data, str) else "application/json"
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request(method, PREFIX + path, body=body, headers=sent)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read())

    def hand_in(self, source: str = "x = 1", *, mode: str = "submit", token: str = "") -> str:
        answer = self.ask("POST", "/attempts", token=token or self.learner, data={"lab": LAB, "source": source, "mode": mode})
        assert answer.status == 202, answer.body
        return str(answer.json["id"])


@contextlib.contextmanager
def serving(directory: Path, *, quota: Quota | None = None, accounts_only: bool = False) -> Iterator[Web]:
    with Course(directory, quota=quota or Quota()) as course:
        identities = Identities(KEY, accounts_only=accounts_only)
        config = uvicorn.Config(Starlette(routes=[mount(course, identities)]), host="127.0.0.1", port=0, log_level="warning")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield Web(course, identities, port)
        server.should_exit = True
        thread.join()
