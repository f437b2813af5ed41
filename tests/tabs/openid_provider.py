"""A stand-in for a university's sign-in: a real HTTP server that speaks OpenID, and lies where a test tells it to."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, Key

CLIENT, SECRET = "labs", "s:cret/ü"  # what must be quoted in a header stands in it


class StandIn:
    """Signs everybody in as `person`. Each of the others changes what it says, from the honest answer."""

    def __init__(self) -> None:
        self.person: dict[str, Any] = {"sub": "0017", "preferred_username": "Ada"}
        self.userinfo: dict[str, Any] = {}
        self.about: Callable[[dict[str, Any]], dict[str, Any]] = lambda about: about
        self.claims: Callable[[dict[str, Any]], dict[str, Any]] = lambda claims: claims
        self.answer: Callable[[dict[str, str]], dict[str, str]] = lambda answer: answer
        self.tokens: Callable[[dict[str, Any]], dict[str, Any]] = lambda tokens: tokens
        self.sign: Callable[[dict[str, Any]], str] = lambda claims: jwt.encode(self.header, claims, self.key)
        self.header: dict[str, Any] = {}
        self.new_key(ECKey.generate_key("P-256"), "ES256")
        self.url = ""
        self.asked: list[str] = []  # the paths
        self._codes: dict[str, dict[str, str]] = {}

    def new_key(self, key: Key, algorithm: str) -> None:
        self.key = key
        self.header = {"alg": algorithm, "kid": key.thumbprint()}

    def get(self, path: str, query: dict[str, str], headers: Any) -> tuple[int, dict[str, Any] | str]:
        if path.endswith("openid-configuration"):
            about = {"issuer": self.url, "jwks_uri": f"{self.url}/keys", "userinfo_endpoint": f"{self.url}/userinfo"}
            about |= {"authorization_endpoint": f"{self.url}/authorize?of=uni", "token_endpoint": f"{self.url}/token"}
            return 200, self.about(about)
        if path == "/keys":
            return 200, {"keys": [self.key.as_dict(private=False, kid=self.key.thumbprint())]}
        if path == "/authorize":
            assert query["response_type"] == "code" and query["client_id"] == CLIENT and "openid" in query["scope"].split()
            assert query["code_challenge_method"] == "S256"
            code = f"code{len(self._codes)}"
            self._codes[code] = query
            answer = self.answer({"code": code, "state": query["state"], "iss": self.url})
            return 302, f"{query['redirect_uri']}?{urlencode(answer)}"
        assert (path, headers["Authorization"]) == ("/userinfo", "Bearer an access token")
        return 200, self.userinfo

    def post(self, path: str, sent: dict[str, str], headers: Any) -> tuple[int, dict[str, Any]]:
        assert path == "/token"
        pair = base64.b64decode(headers["Authorization"].removeprefix("Basic ")).decode()
        if pair != f"{CLIENT}:s%3Acret%2F%C3%BC":
            return 401, {"error": "invalid_client"}
        asked = self._codes.pop(sent["code"], None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(sent["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        if asked is None or (challenge, sent["redirect_uri"]) != (asked["code_challenge"], asked["redirect_uri"]):
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {"iss": self.url, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": asked["nonce"], **self.person}
        return 200, self.tokens({"access_token": "an access token", "id_token": self.sign(self.claims(claims))})


@contextlib.contextmanager
def serving() -> Iterator[StandIn]:
    found = StandIn()

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            found.asked.append(parts.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            self.say(*found.get(parts.path, query, self.headers))

        def do_POST(self) -> None:
            found.asked.append(self.path)
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self.say(*found.post(self.path, {name: values[0] for name, values in parse_qs(body).items()}, self.headers))

        def say(self, status: int, body: Any) -> None:
            raw = b"" if status == 302 else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Location" if status == 302 else "Content-Type", body if status == 302 else "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: object) -> None:
            """Nothing is told."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_port}"
    yield found
    server.shutdown()
    server.server_close()
    thread.join()
