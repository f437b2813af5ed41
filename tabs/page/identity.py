"""Who is asking. A token that this server issued is the identity; what a client makes up is not.

A token is ``subject.signature``: the subject is a random number (anywhere) or a Hugging Face account (on a Space, after
signing in), the signature is HMAC-SHA256 over it with a key that never leaves the server. The user id that the course sees
is the account, or a hash of the random number: neither the database nor an export holds anything to sign in with.
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import os
import secrets
from pathlib import Path

from grader.faults import NotGradable

KEY_FILE = Path("var/identity.key")
ACCOUNT = "hf:"  # begins the subject of a signed-in account


def on_space() -> bool:
    """Whether Hugging Face's sign-in is set up; Gradio's login button cannot even be built without it."""
    return bool(os.environ.get("OAUTH_CLIENT_ID"))


@dataclasses.dataclass(frozen=True)
class User:
    """`id` goes to the course; `token` is the secret that proves it; `account` is the signed-in account's name, or empty."""

    id: str
    token: str
    account: str = ""


class Identities:
    """Issues tokens and reads them back. `accounts_only`: refuse those of nobody in particular (a public Space)."""

    def __init__(self, key: bytes, *, accounts_only: bool = False) -> None:
        if len(key) < 16:
            raise ValueError(f"key of {len(key)} bytes must have at least 16")
        self._key = key
        self.accounts_only = accounts_only

    @classmethod
    def from_environment(cls, key_file: Path = KEY_FILE) -> Identities:
        """The key is `GRADER_IDENTITY_KEY`, or a file made at the first start. A new key signs everybody out."""
        accounts_only = on_space()
        if text := os.environ.get("GRADER_IDENTITY_KEY"):
            return cls(text.encode(), accounts_only=accounts_only)
        if not key_file.exists():
            key_file.parent.mkdir(parents=True, exist_ok=True)
            written = key_file.with_suffix(f".{os.getpid()}")
            with os.fdopen(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(secrets.token_hex(32))
            written.rename(key_file)
        return cls(key_file.read_text().strip().encode(), accounts_only=accounts_only)

    def issue(self, account: str = "") -> User:
        """A new nobody, or the one user of that account."""
        subject = ACCOUNT + account if account else secrets.token_hex(16)
        return self._user(subject)

    def read(self, token: object) -> User | None:
        """The user of a token that we issued; None for anything else."""
        if not isinstance(token, str) or len(token) > 256:
            return None
        subject, _, signature = token.rpartition(".")
        if not subject or not hmac.compare_digest(signature.encode(), self._sign(subject).encode()):
            return None
        return self._user(subject)

    def require(self, token: object) -> User:
        """The same, for whoever hands something in.

        Raises:
            NotGradable: no token of ours, or not one of an account where accounts are required.
        """
        user = self.read(token)
        if user is None:
            raise NotGradable("This browser has no valid token yet; press again in a moment, or reload the page.")
        if self.accounts_only and not user.account:
            raise NotGradable("Sign in with Hugging Face to hand something in.")
        return user

    def _sign(self, subject: str) -> str:
        return hmac.new(self._key, subject.encode(), hashlib.sha256).hexdigest()[:32]

    def _user(self, subject: str) -> User:
        account = subject.removeprefix(ACCOUNT) if subject.startswith(ACCOUNT) else ""
        user_id = subject if account else "anon-" + hashlib.sha256(subject.encode()).hexdigest()[:20]
        return User(user_id, f"{subject}.{self._sign(subject)}", account)
