"""Sign-in by any OpenID provider, a university's for instance: what is asked of it, and when its answer counts.

Discovery, authorization code with PKCE, and an id_token whose signature, issuer, audience, time and nonce are verified. An
account is issuer and subject together; its name is only how people call it. What a sign-in in progress must remember is drawn
from one secret, which the browser keeps in a cookie (tabs/page/sign_in.py).

Source: OpenID Connect Core 1.0, sections 3.1.2 and 3.1.3.7 (https://openid.net/specs/openid-connect-core-1_0.html); Discovery
1.0, section 4; RFC 7636 (PKCE); RFC 9207 (`iss` in the answer).
"""

from __future__ import annotations

import base64
import dataclasses
import functools
import hashlib
import hmac
import json
import os
import re
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

import httpx
from joserfc import jwt
from joserfc.errors import BadSignatureError, InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from grader.course.gradebook.accounts import OPENID, kept
from grader.faults import NotGradable

ISSUER = "GRADER_OPENID_ISSUER"
CALLBACK = "/login/openid/callback"
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")  # with a public key
LEEWAY_S = 60.0  # between the provider's clock and ours
KNOWN_FOR_S = 3600.0  # its addresses and keys; an unknown key is looked up at once
ANSWERS_WITHIN_S = 10.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@+-]{0,63}")


class NotSignedIn(Exception):
    """Nobody was signed in; the text is one sentence. `ours`: neither reader nor chance, but a setting or the provider."""

    def __init__(self, sentence: str, *, ours: bool = False) -> None:
        super().__init__(sentence)
        self.ours = ours


def is_set(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether people sign in with a provider of this service's own."""
    return bool(environment.get(ISSUER))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Registration:
    """What the provider knows of us. `secret`: "" for a client that has none. `address`: of our page, as browsers see it."""

    issuer: str
    id: str
    secret: str = dataclasses.field(default="", repr=False)
    address: str
    claim: str = "preferred_username"

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> Registration | None:
        """From the environment; None where no provider is set.

        Raises:
            NotGradable: a setting is missing or is no address.
        """
        if not is_set(environment):
            return None
        given = environment.get
        host = (given("SPACE_HOST") or "").partition(",")[0]
        found = {
            ISSUER: given(ISSUER, "").rstrip("/"),
            "GRADER_OPENID_CLIENT": given("GRADER_OPENID_CLIENT", ""),
            "GRADER_ADDRESS": (given("GRADER_ADDRESS") or (f"https://{host}" if host else "")).rstrip("/"),
        }
        for name, value in found.items():
            if not value:
                raise NotGradable(f"{ISSUER} is set, so {name} must be, too.")
        for name in (ISSUER, "GRADER_ADDRESS"):
            if not _is_safe(found[name]):
                raise NotGradable(f"{name}={found[name]!r:.80} must begin with https:// (or be on this machine).")
        if found["GRADER_ADDRESS"] != "{0.scheme}://{0.netloc}".format(urlsplit(found["GRADER_ADDRESS"])):
            raise NotGradable(f"GRADER_ADDRESS={found['GRADER_ADDRESS']!r:.80} must end with its host: the page has no path.")
        return cls(
            issuer=found[ISSUER],
            id=found["GRADER_OPENID_CLIENT"],
            secret=given("GRADER_OPENID_SECRET", ""),
            address=found["GRADER_ADDRESS"],
            claim=given("GRADER_OPENID_CLAIM") or cls.claim,
        )

    @property
    def callback(self) -> str:
        return self.address + CALLBACK

    @property
    def host(self) -> str:
        """How people call the provider."""
        return urlsplit(self.issuer).hostname or self.issuer


def provider() -> Provider | None:
    """The one of the environment."""
    client = Registration.read()
    return Provider(client) if client else None


def drawn(secret: str, what: str) -> str:
    """The state, nonce or verifier of the sign-in that holds this secret: 43 characters, nobody else's guess."""
    return _unpadded(hmac.digest(secret.encode(), what.encode(), "sha256"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class SignedIn:
    """`id` names it for good; `name` is as an account is kept ("openid:ada")."""

    id: str
    name: str


class Provider:
    """One provider, asked on behalf of whoever signs in.

    Args:
        clock: seconds since 1970.
    """

    def __init__(self, client: Registration, *, clock: Callable[[], float] = time.time) -> None:
        self.client = client
        self._clock = clock
        self._about: dict[str, Any] = {}
        self._keys: KeySet | None = None
        self._until = 0.0

    async def begin(self, secret: str) -> str:
        """Where the browser goes to sign in.

        Raises:
            NotSignedIn: the provider cannot be asked.
        """
        challenge = _unpadded(hashlib.sha256(drawn(secret, "verifier").encode()).digest())
        asked = {
            "response_type": "code",
            "client_id": self.client.id,
            "redirect_uri": self.client.callback,
            "scope": "openid profile email",
            "state": drawn(secret, "state"),
            "nonce": drawn(secret, "nonce"),
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        async with _web() as web:
            at = (await self._discover(web))["authorization_endpoint"]
        return f"{at}{'&' if '?' in at else '?'}{urlencode(asked)}"

    async def finish(self, secret: str, answer: Mapping[str, str]) -> SignedIn:
        """Who has signed in.

        Args:
            secret: of the sign-in that this browser began; "" where it began none.
            answer: what the browser brought back.

        Raises:
            NotSignedIn: whatever is not as it must be.
        """
        if not secret:
            raise NotSignedIn("This browser began no sign-in, or more than ten minutes ago.")
        if not hmac.compare_digest(answer.get("state", "").encode(), drawn(secret, "state").encode()):
            raise NotSignedIn("This answer belongs to another sign-in than the one that this browser began last.")
        if error := answer.get("error"):
            why = answer.get("error_description") or error
            raise NotSignedIn(f"{self.client.host} did not sign you in: {why:.200}")
        if not answer.get("code"):
            raise NotSignedIn(f"{self.client.host} sent nobody back: its answer holds no code.", ours=True)
        async with _web() as web:
            about = await self._discover(web)
            if answer.get("iss", about["issuer"]) != about["issuer"]:
                raise NotSignedIn(f"The answer is of another provider, {answer['iss']:.80}.")
            tokens = await self._redeem(web, answer["code"], drawn(secret, "verifier"))
            claims = self._verified(await self._read(web, str(tokens.get("id_token", ""))), drawn(secret, "nonce"))
            return await self._account(web, claims, str(tokens.get("access_token", "")))

    async def _discover(self, web: httpx.AsyncClient) -> dict[str, Any]:
        if self._clock() < self._until:
            return self._about
        about = await self._ask(web, "GET", f"{self.client.issuer}/.well-known/openid-configuration")
        if str(about.get("issuer", "")).rstrip("/") != self.client.issuer:
            raise NotSignedIn(
                f"{self.client.issuer} says that it is {about.get('issuer')!r:.80}: {ISSUER} must be that.", ours=True
            )
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            if not _is_safe(about.get(name)):
                raise NotSignedIn(f"{self.client.host} names no safe address as its {name}.", ours=True)
        self._about, self._keys, self._until = about, None, self._clock() + KNOWN_FOR_S
        return about

    async def _redeem(self, web: httpx.AsyncClient, code: str, verifier: str) -> dict[str, Any]:
        """The tokens for a code."""
        sent = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.client.callback,
            "code_verifier": verifier,
        }
        headers = {}
        methods = self._about.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        if self.client.secret and "client_secret_basic" in methods:
            pair = f"{quote_plus(self.client.id)}:{quote_plus(self.client.secret)}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            sent["client_id"] = self.client.id
            if self.client.secret:
                sent["client_secret"] = self.client.secret
        return await self._ask(web, "POST", self._about["token_endpoint"], data=sent, headers=headers)

    async def _read(self, web: httpx.AsyncClient, id_token: str) -> dict[str, Any]:
        """What an id_token says, its signature verified with a key of the provider's."""
        if not id_token:
            raise NotSignedIn(f"{self.client.host} sent no id_token: is the scope openid allowed to us?", ours=True)
        registry = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
        known = self._keys
        try:
            if known is not None:
                try:
                    return jwt.decode(id_token, known, registry=registry).claims
                except (InvalidKeyIdError, BadSignatureError):
                    pass  # it may have new keys
            self._keys = KeySet.import_key_set(await self._ask(web, "GET", self._about["jwks_uri"]))  # type: ignore[arg-type]
            return jwt.decode(id_token, self._keys, registry=registry).claims
        except BadSignatureError as error:
            raise NotSignedIn(f"The id_token is not signed by {self.client.host}.", ours=True) from error
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise NotSignedIn(f"The id_token of {self.client.host} cannot be verified: {error!s:.120}.", ours=True) from error

    def _verified(self, claims: dict[str, Any], nonce: str) -> dict[str, Any]:
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        expires, issued, now = claims.get("exp"), claims.get("iat"), self._clock()
        host = self.client.host
        if claims.get("iss") != self._about["issuer"]:
            raise NotSignedIn(f"The id_token is of another issuer, {claims.get('iss')!r:.80}.", ours=True)
        if self.client.id not in audiences or claims.get("azp", self.client.id) != self.client.id:
            raise NotSignedIn(f"The id_token of {host} is for another service than this one.", ours=True)
        if not isinstance(expires, int | float) or now > expires + LEEWAY_S:
            raise NotSignedIn(f"The id_token of {host} has expired; if that happens again, a clock is wrong.")
        if not isinstance(issued, int | float) or issued > now + LEEWAY_S:
            raise NotSignedIn(f"The id_token of {host} comes from the future: a clock is wrong.", ours=True)
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
            raise NotSignedIn("The id_token belongs to another sign-in than the one that this browser began last.")
        if not isinstance(claims.get("sub"), str) or not 0 < len(claims["sub"]) <= 255:
            raise NotSignedIn(f"The id_token of {host} names nobody.", ours=True)
        return claims

    async def _account(self, web: httpx.AsyncClient, claims: dict[str, Any], access_token: str) -> SignedIn:
        about = self._about
        if self.client.claim not in claims and access_token and _is_safe(about.get("userinfo_endpoint")):
            bearer = {"Authorization": f"Bearer {access_token}"}
            told = await self._ask(web, "GET", about["userinfo_endpoint"], headers=bearer)
            claims = told | claims if told.get("sub") == claims["sub"] else claims
        whole = hashlib.sha256(json.dumps([claims["iss"], claims["sub"]]).encode()).hexdigest()
        name = str(claims.get(self.client.claim) or "")  # as it was sent: in lower case the Kelvin sign would be a k
        if not _NAME.fullmatch(name) or (self.client.claim == "email" and claims.get("email_verified") is not True):
            name = whole[:12]  # nobody else's, and good for an address
        return SignedIn(id=OPENID + whole, name=kept(OPENID + name))

    async def _ask(self, web: httpx.AsyncClient, method: str, address: str, **sent: Any) -> dict[str, Any]:
        try:
            answer = await web.request(method, address, **sent)
            found = answer.json()
        except httpx.HTTPError as error:
            raise NotSignedIn(
                f"{self.client.host} does not answer ({type(error).__name__}); try again in a minute.", ours=True
            ) from error
        except ValueError:
            found = None
        if isinstance(found, dict) and answer.is_success:
            return found
        said = found.get("error") if isinstance(found, dict) else None
        if said == "invalid_client":
            raise NotSignedIn(f"{self.client.host} does not know this service: its client id or secret is wrong.", ours=True)
        if said == "invalid_grant":
            raise NotSignedIn(f"{self.client.host} took the code for used or too old.")
        raise NotSignedIn(f"{self.client.host} answered {answer.status_code} at {urlsplit(address).path:.80}.", ours=True)


def _web() -> httpx.AsyncClient:
    headers = {"Accept": "application/json"}
    return httpx.AsyncClient(timeout=ANSWERS_WITHIN_S, follow_redirects=False, headers=headers, verify=_trusted())


@functools.cache
def _trusted() -> ssl.SSLContext:
    """The certificates that this machine trusts; to load them takes longer than a sign-in."""
    return httpx.create_ssl_context()


def _is_safe(address: object) -> bool:
    """Whether nobody on the way can read or change what is asked there."""
    if not isinstance(address, str):
        return False
    parts = urlsplit(address)
    return bool(parts.hostname) and (
        parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1"))
    )


def _unpadded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
