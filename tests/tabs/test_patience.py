"""A connection that says half a request, or reads nothing of its answer, is ended in time; whoever is at work is not."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest
import uvicorn

from tabs.page import patience

REQUEST_S, READ_S = 0.6, 0.4
HEAD = b"POST / HTTP/1.1\r\nHost: here\r\n"
LONG = b"x" * (64 << 20)


async def app(scope, receive, send):
    if scope["path"] == "/refused":  # answered before the body is read
        await answer(send, b"no")
        return
    while (message := await receive()).get("more_body"):
        pass
    if message["type"] == "http.disconnect":
        return
    if scope["path"] == "/slow":
        await asyncio.sleep(2 * REQUEST_S)
    await answer(send, LONG if scope["path"] == "/long" else b"done")


async def answer(send, body):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def port():
    patched = pytest.MonkeyPatch()
    patched.setattr(patience, "REQUEST_S", REQUEST_S)
    patched.setattr(patience, "READ_S", READ_S)
    patched.setattr("uvicorn.config.HTTP_PROTOCOLS", dict(uvicorn.config.HTTP_PROTOCOLS))
    patched.setattr(patience, "HTTP_PROTOCOLS", uvicorn.config.HTTP_PROTOCOLS)
    patience.be_patient()
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", timeout_keep_alive=2))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])))
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield listening.getsockname()[1]
    server.should_exit = server.force_exit = True
    thread.join()
    patched.undo()


@pytest.fixture
def client(port):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        yield client


def ended_after(client, *, drip=b""):
    """Seconds until the server ends the connection, to which a byte is sent now and then."""
    began = time.monotonic()
    client.settimeout(REQUEST_S / 6)
    while time.monotonic() - began < 10:
        try:
            if drip:
                client.sendall(drip)
            if not client.recv(65536):
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - began


@pytest.mark.parametrize(
    ("said", "drip"),
    [
        pytest.param(b"", b"", id="nothing"),
        pytest.param(b"GET / HT", b"", id="half_a_line"),
        pytest.param(HEAD + b"X-Slow: ", b"a", id="head_in_drops"),
        pytest.param(HEAD + b"Content-Length: 5000\r\n\r\n{", b"", id="short_body"),
        pytest.param(HEAD + b"Content-Length: 5000\r\n\r\n", b"a", id="body_in_drops"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{", b"", id="chunk"),
        pytest.param(HEAD.replace(b"/ ", b"/refused ") + b"Content-Length: 5000\r\n\r\n{", b"", id="answered_before_its_end"),
        pytest.param(HEAD + b"Content-Length: 0\r\n\r\n" + HEAD, b"", id="half_of_a_second_one"),
    ],
)
def test_half_a_request_is_not_waited_for_without_end(client, said, drip):
    client.sendall(said)

    assert REQUEST_S * 0.8 < ended_after(client, drip=drip) < 5 * REQUEST_S


def test_an_answer_that_nobody_reads_is_given_up(port):
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", port))
        client.sendall(b"GET /long HTTP/1.1\r\nHost: here\r\n\r\n")
        time.sleep(3 * READ_S)

        client.settimeout(10)
        got = 0
        try:
            while part := client.recv(1 << 20):
                got += len(part)
        except ConnectionResetError:
            pass
    assert got < len(LONG)


@pytest.mark.parametrize("path", [b"/slow", b"/"])
def test_who_is_waited_for_by_a_client_is_not_hurried(client, path):
    for _ in range(2):  # kept alive, the second one as well
        client.sendall(b"GET %b HTTP/1.1\r\nHost: here\r\n\r\n" % path)
        assert client.recv(65536).endswith(b"done") or client.recv(65536).endswith(b"done")
    time.sleep(1.5 * REQUEST_S)  # between two requests uvicorn's own clock runs
    client.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
    assert client.recv(65536).startswith(b"HTTP/1.1 200")
