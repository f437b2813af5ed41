"""What the surroundings must be before Gradio is imported: it reads some of it then, and ends in a traceback over the rest."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import MutableMapping

_PROXIES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY")


def fit(environment: MutableMapping[str, str] = os.environ) -> str | None:
    """Mend what can be mended. Returns the name of the server where Gradio must be told, since it cannot be left to read it.

    Exits: `GRADIO_SERVER_PORT` is no port; a proxy is one that cannot be used here.
    """
    environment.setdefault("PATH", os.defpath)
    port = environment.get("GRADIO_SERVER_PORT", "7860")
    if not (port.isascii() and port.isdecimal()) or not 0 < int(port[:6]) < 1 << 16:
        sys.exit(f"error: GRADIO_SERVER_PORT={port!r:.20} must be a port, 1 to 65535.")
    name = environment.get("GRADIO_SERVER_NAME", "")
    if ":" in name and not name.startswith("["):
        name = f"[{name}]"  # an address of IPv6, as it stands in an address of the web
    if name.startswith("["):
        del environment["GRADIO_SERVER_NAME"]  # it would look whether the port is free there, as if that were one of IPv4
    for proxy in (spelt for each in _PROXIES for spelt in (each, each.lower())):
        if environment.get(proxy, "").startswith("socks") and importlib.util.find_spec("socksio") is None:
            sys.exit(f"error: {proxy} names a SOCKS proxy, which needs the package socksio; unset it, or install httpx[socks].")
    return name if name.startswith("[") else None
