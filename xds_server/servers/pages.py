"""Pages: the HTTP API's reference as a person reads it.

Made here, it needs nothing from elsewhere (no script, no style sheet of another host). Knows HTML and OpenAPI.
Does not know what the routes do.
"""

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "pre{background:#f5f5f5;padding:.75rem;overflow:auto}code{background:#f5f5f5}table{border-collapse:collapse}"
    "td,th{text-align:left;padding:.15rem 1rem .15rem 0;vertical-align:top}h2{margin-top:2rem}"
)


def reference(openapi: Mapping[str, Any]) -> str:
    """Return the API's reference, from its OpenAPI document."""
    return _page("xds-server: HTTP API", "".join(["<h1>HTTP API</h1>", *_operations(openapi)]))


def _operations(openapi: Mapping[str, Any]) -> Iterator[str]:
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            text = escape(operation.get("description", operation.get("summary", "")))
            yield f"<h2><code>{method.upper()} {escape(path)}</code></h2><p>{text}</p>"
            yield _parameters(operation.get("parameters", []))
            yield _body(operation, openapi, path)
            answers = ", ".join(f"{status} {escape(r['description'])}" for status, r in operation["responses"].items())
            yield f"<p>Answers: {answers}</p>"


def _parameters(parameters: list[Mapping[str, Any]]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(p['name'])}</code></td><td>{escape(p['in'])}</td>"
        f"<td>{escape(p.get('description', ''))}</td></tr>"
        for p in parameters
    )
    return f"<table>{rows}</table>" if rows else ""


def _body(operation: Mapping[str, Any], openapi: Mapping[str, Any], path: str) -> str:
    body = operation.get("requestBody")
    if not body:
        return ""
    name = body["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    schema = openapi["components"]["schemas"][name]
    rows = "".join(
        f"<tr><td><code>{escape(field)}</code></td><td>{'required' if field in schema.get('required', ()) else ''}</td>"
        f"<td>{escape(rule.get('description', ''))}</td></tr>"
        for field, rule in schema["properties"].items()
    )
    example = json.dumps(schema["examples"][0]) if schema.get("examples") else "{}"
    curl = f"curl -X POST localhost:18002{path} -H 'Content-Type: application/json' -d '{example}'"
    return f"<table>{rows}</table><pre>{escape(curl)}</pre>"


def _page(title: str, body: str) -> str:
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>'
