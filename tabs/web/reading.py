"""The OpenAPI description as a page to read, made here: FastAPI's own page would load its scripts from another server."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
body { color: #1c1c1c; background: #fff }
h2 { margin-top: 2.5rem } h3 { font: 600 1rem/1.5 ui-monospace, monospace; margin: 1.5rem 0 0 } p { margin: .25rem 0 }
table { border-collapse: collapse; margin: .5rem 0 } td { padding: .1rem 1rem .1rem 0; vertical-align: top }
@media (prefers-color-scheme: dark) { body { color: #e8e8e8; background: #161616 } }
"""


def page(openapi: dict[str, Any]) -> str:
    """HTML of every path by tag, with parameters, what is sent, what comes back, and every refusal."""
    by_tag: dict[str, list[str]] = {}
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            by_tag.setdefault(operation["tags"][0], []).append(_operation(method, path, operation))
    sections = "".join(f"<h2>{escape(tag)}</h2>{''.join(found)}" for tag, found in by_tag.items())
    schemas = "".join(_schema(name, schema) for name, schema in openapi["components"]["schemas"].items())
    title, text = escape(openapi["info"]["title"]), escape(openapi["info"]["description"])
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f"<h1>{title}</h1><p>{text}</p>{sections}<h2>What goes over the wire</h2>{schemas}</html>"
    )


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    rows = [
        (parameter["name"], parameter["in"], _type(parameter["schema"]), parameter.get("description", ""))
        for parameter in operation.get("parameters", ())
    ]
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        rows.append(("body", kind, _type(content["schema"]), ""))
    for status, response in operation["responses"].items():
        contents = response.get("content", {}).values()
        schema: dict[str, Any] = next((content.get("schema", {}) for content in contents), {})
        rows.append((status, "answer", _type(schema), response["description"]))
    said = escape(operation.get("description", ""))
    return f"<h3>{method.upper()} {escape(path)}</h3><p>{said}</p>{_table(rows)}"


def _schema(name: str, schema: dict[str, Any]) -> str:
    fields = schema.get("properties", {}).items()
    return f"<h3>{escape(name)}</h3>" + _table((field, _type(about), about.get("description", "")) for field, about in fields)


def _table(rows: Iterable[tuple[str, ...]]) -> str:
    cells = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows)
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return " | ".join(str(value) for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    return str(schema.get("type", ""))
