"""The MCP server: what an assistant's program may do for a learner, with the learner's token. It never gives a solution.

It stands at /api/v1/mcp (Streamable HTTP, without sessions), and asks the course what the routes ask, under the same limits.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.transport_security import TransportSecuritySettings
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

import labs
from grader.course.refusal import Refusal, refusals
from grader.report import Report
from tabs.labs.hints import LABELS, steps
from tabs.web.labs import entry, lab_id_of
from tabs.web.watching import Watchers
from tabs.web.who import Doors, Person, person

if TYPE_CHECKING:
    from grader.course.states import Status

NAME = "attention-kernels"
INSTRUCTIONS = (
    "Labs on attention kernels in Triton, graded by a judge. Call labs, then spec; the learner writes; check grades a file's "
    "visible cases and costs nothing. report says what an attempt got, hint what to think about next. Every answer is the "
    "learner's to find: nothing here gives a solution. Send the learner's token as 'Authorization: Bearer TOKEN'."
)
LONGEST_CHECK_S = 50.0  # less than what clients wait for an answer
HINTS = LABELS[:3]  # the fourth is the right line

Lab = Annotated[str, Field(description="a lab's id, its first part or its number: lab02_safe_softmax, lab02 or 2")]
Attempt = Annotated[str, Field(description="an attempt's id, as check answers it")]
Asking = Context[Any, Request]


@contextlib.contextmanager
def one_sentence() -> Iterator[None]:
    """A refusal as the assistant is told it, with when to come back."""
    try:
        with refusals():
            yield
    except Refusal as refused:
        later = f" It will be taken in {refused.retry_after_s:.0f} s." if refused.retry_after_s > 0 else ""
        raise ToolError(f"{refused}{later}") from refused


class Assistant:
    """An ASGI app. Lives in the server's event loop, from the first request on."""

    def __init__(self, doors: Doors, watchers: Watchers) -> None:
        self._doors = doors
        self._watchers = watchers
        self._server = MCPServer(NAME, title="Attention kernels", instructions=INSTRUCTIONS, log_level="WARNING")
        for tool in (self.labs, self.spec, self.check, self.report, self.hint):
            self._server.tool(structured_output=False)(tool)
        # Any host's name is right: who asks is known by a token that no browser sends of itself.
        open_to_all = TransportSecuritySettings(enable_dns_rebinding_protection=False)
        self._server.streamable_http_app(stateless_http=True, json_response=True, transport_security=open_to_all)
        self._serving: asyncio.Task[None] | None = None
        self._begun = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":  # without sessions no stream ever says anything; whoever opened one held it for ever
            await Response(status_code=405, headers={"Allow": "POST"})(scope, receive, send)
            return
        if self._serving is None:  # the lifespan of what is mounted is nobody's
            self._serving = asyncio.create_task(self._serve())
        await self._begun.wait()
        await self._server.session_manager.handle_request(scope, receive, send)

    async def _serve(self) -> None:
        async with self._server.session_manager.run():
            self._begun.set()
            await asyncio.Event().wait()  # until the server's loop ends

    def _person(self, asking: Asking) -> Person:
        request = asking.request_context.request
        return person(self._doors, request.headers.get("authorization", "") if request else "")

    def labs(self) -> str:
        """Every lab: id, title, points, the function that a file must define and its arguments. Needs no token."""
        return json.dumps([entry(lab_id).model_dump() for lab_id in labs.lab_ids()])

    def spec(self, lab: Lab) -> str:
        """What a lab asks, as Markdown, and the file to begin with. Needs no token."""
        with one_sentence():
            folder = labs.load(lab_id_of(lab))
        return f"{folder.spec.strip()}\n\n## The file to begin with\n\n```python\n{folder.starter.strip()}\n```\n"

    async def check(
        self, lab: Lab, source: Annotated[str, Field(description="the whole file, at most 64 KiB")], asking: Asking
    ) -> str:
        """Grade a file's visible cases. Free, counts for nothing. Answers with the attempt's id and, where it was graded within
        50 seconds, its report; otherwise ask for the report later."""
        with one_sentence():
            who = self._person(asking)
            user = who.may_hand_in()
            lab_id = lab_id_of(lab)
            attempt = await run_in_threadpool(who.course.submit, user=user, lab_id=lab_id, source=source, mode="check")
            status = await run_in_threadpool(who.course.status, attempt, user=user)
            if status.is_open:
                ended = await self._watchers.until(attempt, lambda found: not found.is_open, within_s=LONGEST_CHECK_S)
                status = ended or status
            return await run_in_threadpool(self._told, who, status)

    def report(self, attempt: Attempt, asking: Asking) -> str:
        """What one of the learner's attempts got: verdict, diagnosis, points, cases; or where it stands."""
        with one_sentence():
            who = self._person(asking)
            return self._told(who, who.course.status(attempt, user=who.somebody()))

    def hint(
        self,
        attempt: Attempt,
        asking: Asking,
        step: Annotated[int, Field(ge=1, le=len(HINTS), description="1: why it happens; 2: where; 3: what it must do")] = 1,
    ) -> str:
        """One step of help with an attempt that did not pass, without the right line. Give the first before the next."""
        with one_sentence():
            who = self._person(asking)
            found = self._report(who, attempt)
            said = steps(found, who.course.source(attempt, user=who.user)) if found is not None else ()
        if not said:
            return "There is no hint for this attempt: it passed, has no report yet, or its fault is not one that we know."
        return f"{HINTS[step - 1]}: {said[step - 1]}"

    def _report(self, who: Person, attempt: str) -> Report | None:
        found: Report | None = who.course.report(attempt, user=who.somebody())
        return found

    def _told(self, who: Person, status: Status) -> str:
        found = self._report(who, status.id)
        said: dict[str, Any] = {"attempt": status.id, "lab": status.lab, "state": status.state}
        said |= {"report": json.loads(found.to_json())} if found else {"place": status.place, "fault": status.fault}
        return json.dumps(said)
