"""Who may do what: nobody reads, a learner hands in, an instructor teaches. Asked inside `course`, whatever a page shows.

An instructor is a user on the list GRADER_INSTRUCTORS (accounts, where people sign in), or holds the instructor's token. Only
the token's hash is kept.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import secrets
from typing import TypeGuard

from grader.course.gradebook import accounts
from grader.faults import NotGradable

INSTRUCTOR = "instructor"  # the user that the token stands for; no token of a learner's and no account gives this id
PREFIX = "instructor-"


class Role(enum.StrEnum):
    NOBODY = "nobody"
    LEARNER = "learner"
    INSTRUCTOR = "instructor"


class NotAllowed(Exception):
    """Who asks may not; the text is one sentence."""


def listed(setting: str) -> frozenset[str]:
    """The users of a list of accounts: "ada, grace" (`gradebook.accounts`); a whole id (hf:ada, anon-…) stands as it is.

    Raises:
        NotGradable: one of them is no account's name, so that it would stand for nobody.
    """
    names = [name.strip() for name in setting.split(",") if name.strip()]
    found = {name: name if name.startswith("anon-") else accounts.kept(name) for name in names}
    wrong = next((name for name, kept in found.items() if not accounts.KEPT.fullmatch(kept)), None)
    if wrong is not None:
        raise NotGradable(f"GRADER_INSTRUCTORS names {wrong!r:.60}, which is no account's name; commas stand between names.")
    return frozenset(kept if kept.startswith("anon-") else accounts.user_of(kept) for kept in found.values())


def new_token() -> str:
    return PREFIX + secrets.token_urlsafe(24)


def hash_of(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def may_be_token(token: object) -> TypeGuard[str]:
    """Whether it looks like an instructor's, before anything is looked up."""
    return isinstance(token, str) and token.startswith(PREFIX) and len(token) <= 256


def is_token(token: str, sha256: str) -> bool:
    """Whether that is the instructor's token, of which the book holds the hash ("" before there is one)."""
    return bool(sha256) and hmac.compare_digest(hash_of(token).encode(), sha256.encode())
