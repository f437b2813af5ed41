"""The two addresses of a sign-in by an OpenID provider: one sends the browser there, the other takes it back with a token.

What the token is kept in is this browser's storage, as for everybody (tabs/page/scripts.js). The cookie holds no identity: only
the secret of a sign-in in progress, for ten minutes, and only for the address that finishes it.
"""

from __future__ import annotations

import json
import logging
import secrets
from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from tabs.page.identity import Identities, User
from tabs.page.openid import CALLBACK, NotSignedIn, Provider, Registration, SignedIn
from tabs.page.turns import NotNow, Turns

BEGIN = "/login/openid"
IN_PROGRESS_S = 600
TOKEN = "attention-labs-token"  # where the page keeps it, too
NOT_CACHED = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
KEEPS_NOTHING = "This browser keeps nothing for this page, so it cannot stay signed in: allow it, then sign in again."
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:36rem;margin:20vh auto;padding:0 1rem;color-scheme:light dark;"
    "overflow-wrap:anywhere}"
)
logger = logging.getLogger(__name__)


def link(client: Registration, *, new_window: bool) -> str:
    """What the page shows to whoever is not signed in. `new_window`: the page stands in a frame of somebody else's."""
    target = ' target="_blank"' if new_window else ""
    return f'<a class="sign-in" href="{BEGIN}"{target}>Sign in with {escape(client.host)}</a>'


def signed_in(account: str) -> str:
    """What the page shows to whoever is. The button's click is told in tabs/page/scripts.js, "sign out"."""
    name = escape(account.partition(":")[2])
    return f'Signed in as <b>{name}</b>. <button type="button" data-sign-out>Sign out</button>'


def routes(identities: Identities, provider: Provider | None) -> list[BaseRoute]:
    """For the server that shows the page; none without a provider."""
    if provider is None:
        return []
    client = provider.client
    safe = client.address.startswith("https://")
    # a browser takes a cookie of such a name from this host alone, and not from a neighbour's under the same domain
    cookie = "__Host-sign-in" if safe else "sign-in"
    turns = Turns()

    async def begin(request: Request) -> Response:
        secret = secrets.token_urlsafe(32)
        try:
            with turns.turn(_asker(request)):
                there = await provider.begin(secret)
        except (NotSignedIn, NotNow) as error:
            return _failed(error)
        answer = RedirectResponse(there, 302, NOT_CACHED)
        answer.set_cookie(cookie, secret, max_age=IN_PROGRESS_S, secure=safe, httponly=True, samesite="lax")
        return answer

    async def finish(request: Request) -> Response:
        try:
            with turns.turn(_asker(request)):
                account = await provider.finish(request.cookies.get(cookie, ""), request.query_params)
            user = _kept(identities, account)
        except (NotSignedIn, NotNow) as error:
            answer = _failed(error)
        else:
            logger.info("signed in", extra={"user": user.id})
            answer = HTMLResponse(_page(f"Signed in as {escape(user.account.partition(':')[2])}.", _keep(user.token)))
        answer.headers.update(NOT_CACHED)
        answer.delete_cookie(cookie, secure=safe, httponly=True, samesite="lax")  # one answer to each sign-in
        return answer

    return [Route(BEGIN, begin), Route(CALLBACK, finish)]


def _kept(identities: Identities, account: SignedIn) -> User:
    try:
        return identities.issue(account.name, account_id=account.id)
    except OSError as error:
        raise NotSignedIn(f"You could not be signed in, since nothing can be written: {error.strerror}.", ours=True) from error


def _asker(request: Request) -> str:
    return request.client.host if request.client else ""


def _failed(error: NotSignedIn | NotNow) -> HTMLResponse:
    body = f'{escape(str(error))}<p><a href="{BEGIN}">Sign in again</a> · <a href="/">Back to the page</a>'
    if isinstance(error, NotNow):  # not logged: whoever asks without end would fill the log
        return HTMLResponse(_page(body), 429, {**NOT_CACHED, "Retry-After": f"{error.retry_after_s:.0f}"})
    logger.warning("not signed in", extra={"why": str(error)})
    return HTMLResponse(_page(body), 502 if error.ours else 400, NOT_CACHED)


def _keep(token: str) -> str:
    told = json.dumps([TOKEN, token, KEEPS_NOTHING]).replace("<", "\\u003c")
    return (
        f"<script>{{const [name,token,nothing]={told};try{{localStorage.setItem(name,token);location.replace('/?tab=labs')}}"
        "catch{document.querySelector('main').textContent=nothing}}</script>"
    )


def _page(body: str, script: str = "") -> str:
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Sign in</title><style>{_STYLE}</style><main>{body}</main>{script}</html>"
    )
