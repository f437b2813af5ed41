"""Which user an account's name stands for: "ada" as people write it, "hf:ada" or "openid:ada@uni.example" as a user.

What is kept (rosters, handles) is the user, but without "hf:". Names of an OpenID provider are kept in lower case.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

HUGGING_FACE, OPENID = "hf:", "openid:"  # each begins the user of an account that signed in there
KEPT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,95}|openid:[a-z0-9][a-z0-9_.@+-]{0,95}")


def user_of(account: str) -> str:
    """The user of an account as it is kept."""
    return account if ":" in account else HUGGING_FACE + account


def kept(written: str, environment: Mapping[str, str] = os.environ) -> str:
    """An account as it is kept, from how people write it.

    A name alone is of the provider that people sign in with here: the OpenID provider where that is the only one.
    """
    name = written.strip().removeprefix(HUGGING_FACE)
    only_openid = bool(environment.get("GRADER_OPENID_ISSUER")) and not signs_in_with_hugging_face(environment)
    if name and ":" not in name and only_openid and not written.strip().startswith(HUGGING_FACE):
        name = OPENID + name
    return name.lower() if name.startswith(OPENID) else name


def signs_in_with_hugging_face(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether its sign-in is set up; Gradio's login button cannot even be built without it, or elsewhere than on a Space."""
    return bool(environment.get("OAUTH_CLIENT_ID")) and environment.get("SYSTEM") == "spaces"
