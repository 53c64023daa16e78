"""The documentation as one web page: no script, nothing from outside; made from the OpenAPI document."""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING, Any, Final

from pydantic import TypeAdapter

from .asking import call_of
from .curl import TOKEN_VARIABLE, curl_line
from .examples import example_of, example_value
from .openapi import openapi_document
from .operation import JSON
from .registry import RESOURCES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .operation import Operation, Resource

URL_VARIABLE = "$NDES_LAB_ADMIN_URL"
_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; padding: 1.5em; max-width: 70em;
  color: #222; background: #fff }
h1, h2 { line-height: 1.2 } h2 { margin-top: 2em; border-bottom: 2px solid #ddd }
nav ul { columns: 24em; padding: 0; list-style: none } nav li { break-inside: avoid }
article { margin: 1.2em 0; padding: .2em 1em; border: 1px solid #ddd; border-radius: 6px }
article h3 { font: 600 1em ui-monospace, monospace; overflow-wrap: anywhere }
.method { display: inline-block; min-width: 4.5em; color: #0b57a4 }
.POST { color: #176c2c } .PUT { color: #8a5a00 } .DELETE { color: #b00020 }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .2em .8em .2em 0; border-bottom: 1px solid #eee; vertical-align: top }
pre { padding: .6em; background: #f4f4f4; border-radius: 4px; white-space: pre-wrap; overflow-wrap: anywhere }
code { overflow-wrap: anywhere } a { color: #0b57a4 } summary { cursor: pointer }
@media (prefers-color-scheme: dark) {
  body { color: #ddd; background: #1b1b1b } h2, article { border-color: #444 }
  th, td { border-color: #333 } pre { background: #262626 } a, .method { color: #8ab8ee }
  .POST { color: #6fce86 } .PUT { color: #e0b050 } .DELETE { color: #ff7b8a }
}
"""


def render_docs(*, version: str, with_token: bool) -> str:
    """Return the page (HTML 5); ``with_token`` tells whether the token is wanted."""
    document = openapi_document(version=version, with_token=with_token)
    index = "\n".join(
        f'<li><a href="#{operation.name}"><code>{operation.method} {escape(operation.path)}</code></a></li>'
        for resource in RESOURCES
        for operation in resource.operations
    )
    sections = "\n".join(_section(resource, document, with_token) for resource in RESOURCES)
    models = "\n".join(_model(name, schema) for name, schema in document["components"]["schemas"].items())
    about = "".join(f"<p>{_prose(part)}</p>" for part in document["info"]["description"].split("\n\n"))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>ndes-lab management API</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>ndes-lab management API</h1>
<p>Version {escape(version)}. For machines: <a href="/openapi.json">openapi.json</a> (OpenAPI 3.1).</p>
{about}
<p>The command lines are for a POSIX shell in which <code>NDES_LAB_ADMIN_URL</code> is this listener's
address{_token_hint(with_token)}. Every <code>ndes-lab</code> command that works at a running lab prints
its own with <code>--curl</code>.</p>
<nav><ul>
{index}
</ul></nav>
<main>
{sections}
<section>
<h2 id="models">Models</h2>
{models}
</section>
</main>
</body>
</html>
"""


def _token_hint(with_token: bool) -> str:
    return f" and <code>{TOKEN_VARIABLE}</code> the token" if with_token else ""


def _section(resource: Resource, document: Mapping[str, Any], with_token: bool) -> str:
    articles = "\n".join(
        _article(operation, document["paths"][operation.path][operation.method.lower()], with_token)
        for operation in resource.operations
    )
    return (
        f'<section>\n<h2 id="resource-{resource.name}">{escape(resource.title)}</h2>\n'
        f"<p>{_prose(resource.description)}</p>\n{articles}\n</section>"
    )


def _article(operation: Operation[Any], described: Mapping[str, Any], with_token: bool) -> str:
    method = operation.method
    parts = [
        f'<article id="{operation.name}">',
        f'<h3><span class="method {method}">{method}</span> {escape(operation.path)}</h3>',
        f"<p>{_prose(operation.summary)}.</p>",
    ]
    if operation.description:
        parts += [f"<p>{_prose(part)}</p>" for part in operation.description.split("\n\n")]
    parts.append(f"<pre>{escape(_curl(operation, with_token and not operation.open_to_all))}</pre>")
    if "parameters" in described:
        rows = (
            (
                one["name"],
                one["in"],
                _type(one["schema"]),
                _needed(one["required"]),
                one.get("description", ""),
            )
            for one in described["parameters"]
        )
        parts.append(_table(("Parameter", "In", "Type", "", ""), rows))
    if "requestBody" in described:
        (content,) = described["requestBody"]["content"].values()
        parts.append(f"<p>Body: {_type(content['schema'])}</p>")
    parts += [_answers(described["responses"]), *_example(operation), "</article>"]
    return "\n".join(parts)


def _curl(operation: Operation[Any], with_token: bool) -> str:
    """Return the command line of an operation with example values."""
    path = {
        name: example_value(TypeAdapter(wanted).json_schema())
        for name, wanted in operation.shape.path.items()
    }
    call = call_of(operation, path, body=operation.example_body)
    return curl_line(call, f'"{URL_VARIABLE}"', token=f"${TOKEN_VARIABLE}" if with_token else None)


def _answers(responses: Mapping[str, Any]) -> str:
    """Return the statuses: with a model where they answer, and the others in a row."""
    said, refused = [], []
    for status, response in responses.items():
        if "$ref" in response:
            refused.append(status)
            continue
        kinds = (
            _type(content["schema"]) if "$ref" in content["schema"] else f"<code>{escape(media_type)}</code>"
            for media_type, content in response.get("content", {}).items()
        )
        said.append(f"{status} {' or '.join(kinds)}".strip())
    errors = f'{", ".join(refused)} <a href="#model-ErrorView">ErrorView</a>'
    return f"<p>Answers: {', '.join(said)}; errors: {errors}</p>"


def _example(operation: Operation[Any]) -> Iterable[str]:
    model = operation.shape.answers[operation.status]
    if model is not None:
        text = json.dumps(example_of(model).model_dump(mode="json"), indent=2)
        yield f"<details><summary>Example answer ({JSON})</summary><pre>{escape(text)}</pre></details>"


def _model(name: str, schema: Mapping[str, Any]) -> str:
    title = f'<article id="model-{name}">\n<h3>{name}</h3>\n<p>{_prose(schema.get("description", ""))}</p>'
    if "properties" not in schema:
        return f"{title}\n<p>{_type(schema)}</p>\n</article>"
    required = schema.get("required", ())
    rows = (
        (field, _type(part), _needed(field in required), part.get("description", ""))
        for field, part in schema["properties"].items()
    )
    return f"{title}\n{_table(('Field', 'Type', '', ''), rows)}\n</article>"


def _needed(required: bool) -> str:
    return "required" if required else ""


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table; the column of types is HTML already, names and prose are not."""
    shown = "".join(f'<th scope="col">{head}</th>' for head in heads)
    body = "\n".join("<tr>" + "".join(f"<td>{_cell(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table>\n<thead><tr>{shown}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"


class _Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def _cell(text: str) -> str:
    return text if isinstance(text, _Html) else _prose(text)


def _type(schema: Mapping[str, Any]) -> _Html:
    """Return what a JSON schema takes, in words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _Html(f'<a href="#model-{name}">{name}</a>')
    if "enum" in schema or "const" in schema:
        choices = schema.get("enum", [schema.get("const")])
        return _Html(" | ".join(f"<code>{escape(json.dumps(choice))}</code>" for choice in choices))
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return _Html(" or ".join(_type(part) for part in schema[word]) + _limits(schema))
    if schema.get("type") == "array":
        return _Html(f"list of {_type(schema.get('items', {}))}{_limits(schema)}")
    kind = schema.get("format") or schema.get("type") or "anything"
    return _Html(f"{escape(str(kind))}{_limits(schema)}")


def _limits(schema: Mapping[str, Any]) -> str:
    words = {
        "minimum": "at least {}",
        "maximum": "at most {}",
        "exclusiveMinimum": "more than {}",
        "exclusiveMaximum": "less than {}",
        "minLength": "at least {} characters",
        "maxLength": "at most {} characters",
        "minItems": "at least {} items",
        "maxItems": "at most {} items",
        "pattern": "matching {}",
        "default": "default {}",
    }
    said = [
        word.format(escape(json.dumps(schema[key])))
        for key, word in words.items()
        if schema.get(key) is not None
    ]
    return f" ({', '.join(said)})" if said else ""


def _prose(text: str) -> str:
    """Return words of a docstring as HTML: what is between backquotes is code."""
    parts = escape(text).replace("``", "`").split("`")
    return "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts))
