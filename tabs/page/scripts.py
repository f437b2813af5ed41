"""The functions of scripts.js by their names, as the expressions that Gradio's `js=` and `js_on_load=` take."""

from __future__ import annotations

from pathlib import Path

_SCRIPTS = Path(__file__).parent / "scripts.js"


def script(name: str) -> str:
    """One named function.

    Raises:
        KeyError: there is none of that name.
    """
    _, found, rest = _SCRIPTS.read_text(encoding="utf-8").partition(f"\n// {name}\n")
    if not found:
        raise KeyError(f"scripts.js has no part named {name!r}")
    return rest.partition("\n// ")[0].strip()
