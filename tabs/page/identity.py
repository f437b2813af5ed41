"""Who is asking. A token that this server issued is the identity; what a client makes up is not.

A token is ``subject.serial.expires.version.signature``: the subject is a random number, or an account (hf:…, openid:…, after
signing in), the signature is HMAC-SHA256 over all before it with a key that never leaves the server. The user id that the
course sees is the account, or a hash of the random number: neither database nor export holds anything to sign in with.
A token ends by its time, with its version, or by its serial (`revoke`); one that is used is renewed under its serial.

    python -m tabs.page.identity < tokens.txt        revokes each, one a line; never as an argument, which others could read
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import os
import secrets
import sys
import time
from collections.abc import Callable
from pathlib import Path

from grader.course.gradebook.accounts import HUGGING_FACE, signs_in_with_hugging_face, user_of
from grader.course.settings import Settings
from grader.faults import NotGradable
from tabs.page import openid
from tabs.page.ledger import Accounts, Revoked

VERSION = "2"  # of tokens; raised, it ends all that were issued before
LIFE_S = 180 * 86400.0
RENEW_AFTER_S = 7 * 86400.0  # a token older than this comes back with a new life
LONGEST = 256  # characters
SHORTEST_KEY = 16  # bytes


@dataclasses.dataclass(frozen=True)
class User:
    """`id` goes to the course; `token` is the secret that proves it; `account` is the signed-in account as kept, or ""."""

    id: str
    token: str
    account: str = ""


def visitor(user_id: str, room: str) -> str:
    """Who hands in for `user_id` in that room ("museum", "hunt"), so that it stands among nobody's attempts.

    No account has a slash.
    """
    return f"{user_id}/{room}"


class Identities:
    """Issues tokens and reads them back.

    Args:
        accounts_only: refuse those of nobody in particular (where people sign in).
        accounts, revoked: what outlives a restart; kept in memory by default.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        key: bytes,
        *,
        accounts_only: bool = False,
        accounts: Accounts | None = None,
        revoked: Revoked | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if len(key) < SHORTEST_KEY:
            raise ValueError(f"key of {len(key)} bytes must have at least {SHORTEST_KEY}")
        self._key = key
        self.accounts_only = accounts_only
        self._accounts = accounts or Accounts()
        self._revoked = revoked or Revoked()
        self._clock = clock

    @classmethod
    def from_environment(cls, key_file: Path | None = None) -> Identities:
        """The key is `GRADER_IDENTITY_KEY`, or a file made at the first start. A new key signs everybody out.

        `key_file`: default: beside the archive.

        Raises:
            NotGradable: the key is too short, or its file can neither be read nor made.
        """
        key_file = key_file or Settings.read().key_file
        accounts, revoked = Accounts(key_file.with_suffix(".accounts")), Revoked(key_file.with_suffix(".revoked"))
        accounts_only = signs_in_with_hugging_face() or openid.is_set()
        if text := os.environ.get("GRADER_IDENTITY_KEY"):
            key, where = text.encode(), "GRADER_IDENTITY_KEY"
        else:
            key, where = _kept_key(key_file), str(key_file)
        if len(key) < SHORTEST_KEY:
            raise NotGradable(f"{where} holds {len(key)} bytes; expected at least {SHORTEST_KEY} that nobody guesses.")
        return cls(key, accounts_only=accounts_only, accounts=accounts, revoked=revoked)

    def issue(self, account: str = "", *, account_id: str = "") -> User:
        """A new nobody, or the one user of that account.

        Args:
            account: its name ("ada" of Hugging Face, "openid:ada").
            account_id: what names it for good: a name can be given up, and taken by somebody else. Default: the name.
        """
        subject = user_of(self._accounts.handle(account_id or account, account)) if account else secrets.token_hex(16)
        return self._user(subject, secrets.token_hex(8))

    def read(self, token: object) -> User | None:
        """The user of a token that we issued and that still holds; None for anything else."""
        if not isinstance(token, str) or len(token) > LONGEST or not (token.isascii() and token.isprintable()):
            return None
        signed, _, signature = token.rpartition(".")
        if not signed or not hmac.compare_digest(signature, self._sign(signed)):
            return None
        subject, serial, expires, version = signed.rsplit(".", 3)  # it is ours, so it has them
        left_s = int(expires) - self._clock()
        if version != VERSION or left_s <= 0 or serial in self._revoked:
            return None
        return self._user(subject, serial, token if left_s > LIFE_S - RENEW_AFTER_S else None)

    def revoke(self, token: str) -> bool:
        """End this token, and those that it was renewed as. False: it was none of ours, or had ended.

        Raises:
            OSError: it could not be written down; the token goes on.
        """
        if self.read(token) is None:
            return False
        self._revoked.add(token.rsplit(".", 4)[1])
        return True

    def require(self, token: object) -> User:
        """The same, for whoever hands something in.

        Raises:
            NotGradable: no token of ours, or not one of an account where accounts are required.
        """
        user = self.read(token)
        if user is None:
            raise NotGradable("This browser has no valid token yet; press again in a moment, or reload the page.")
        if self.accounts_only and not user.account:
            raise NotGradable("Sign in to hand something in.")
        return user

    def _sign(self, signed: str) -> str:
        return hmac.new(self._key, signed.encode(), hashlib.sha256).hexdigest()[:32]

    def _user(self, subject: str, serial: str, token: str | None = None) -> User:
        account = subject.removeprefix(HUGGING_FACE) if ":" in subject else ""
        user_id = subject if account else "anon-" + hashlib.sha256(subject.encode()).hexdigest()[:20]
        if token is None:
            signed = f"{subject}.{serial}.{int(self._clock() + LIFE_S)}.{VERSION}"
            token = f"{signed}.{self._sign(signed)}"
        return User(user_id, token, account)


def _kept_key(path: Path) -> bytes:
    """The key in that file, which is made where there is none."""
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            written = path.with_suffix(f".{os.getpid()}")
            with os.fdopen(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(secrets.token_hex(32))
            written.rename(path)
        return path.read_bytes().strip()
    except OSError as error:
        raise NotGradable(
            f"{path}, which signs people in, cannot be read or made: {error.strerror}; or set GRADER_IDENTITY_KEY."
        ) from error


if __name__ == "__main__":
    identities = Identities.from_environment()
    for line in sys.stdin:
        print("revoked" if identities.revoke(line.strip()) else "no token of ours, or one that had ended")
