"""Makes what the clients have of PNS's openapi.json, and the sync client of Python from the async one.

    python clients/make.py

in an environment that has PNS.
"""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import httpx2

from pns.ops.serve.run import assemble
from pns.settings import AppSettings, AuthSettings, Settings, StoreSettings

CLIENTS = Path(__file__).parent

WANTED = (
    *(
        "Notification",
        "GroupMember",
        "WebhookControls",
        "UserInfo",
        "DeviceInfo",
        "CategoryCount",
        "InboxItem",
    ),
    *(
        "Group",
        "LatestMember",
        "Marks",
        "InstalledDevice",
        "CategoryInfo",
        "Channels",
        "PreferenceInfo",
        "Published",
    ),
    *("PublicationInfo", "Subscriptions", "TimelineItem"),
)
"""The schemas that the methods take and return."""

_HEAD = '''"""The objects of the wire, made from PNS's openapi.json by clients/make.py. Do not edit."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict
'''
_PYTHON = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "null": "None",
    "object": "dict[str, Any]",
    "array": "list[Any]",
}
_TYPESCRIPT = {
    "string": "string",
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "null": "null",
    "object": "Record<string, unknown>",
    "array": "unknown[]",
}
_GO = {"string": "string", "integer": "int64", "number": "float64", "boolean": "bool"}
_SYNC = (
    ("AsyncPNS", "PNS"),
    ("httpx2.AsyncClient", "httpx2.Client"),
    ("asyncio.sleep", "time.sleep"),
    ("import asyncio\n", "import time\n"),
    ("AsyncIterator", "Iterator"),
    ("async def __aenter__", "def __enter__"),
    ("async def __aexit__", "def __exit__"),
    ("async for", "for"),
    ("async def", "def"),
    ("async with", "with"),
    (".aclose()", ".close()"),
    ("await ", ""),
)


def python_types(document: dict[str, Any]) -> str:
    """The text of types.py."""
    parts = [_HEAD]
    for name, text, members in _schemas(document):
        lines = (
            [f"class {name}(TypedDict):", f'    """{text}"""\n'] if text else [f"class {name}(TypedDict):"]
        )
        for member, each, required in members:
            kind = PYTHON.type_of(each, document)
            lines.append(f"    {member}: {kind if required else f'NotRequired[{kind}]'}")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def typescript_types(document: dict[str, Any]) -> str:
    """The text of types.d.ts."""
    parts = ["// The objects of the wire, made from PNS's openapi.json by clients/make.py. Do not edit.\n"]
    for name, text, members in _schemas(document):
        lines = [f"/** {text} */"] if text else []
        lines.append(f"export interface {name} {{")
        for member, each, required in members:
            lines.append(f"  {member}{'' if required else '?'}: {TYPESCRIPT.type_of(each, document)}")
        parts.append("\n".join([*lines, "}\n"]))
    return "\n".join(parts)


def go_types(document: dict[str, Any]) -> str:
    """The text of types.go, as gofmt lays it out."""
    parts = ["// Code generated from PNS's openapi.json by clients/make.py. DO NOT EDIT.\n\npackage pns\n"]
    for name, text, members in _schemas(document):
        lines = [f"// {name}: {text}"] if text else [f"// {name} is an object of the wire."]
        lines.append(f"type {name} struct {{")
        fields = [(_camel(member), _go_field(each, document, required)) for member, each, required in members]
        names, kinds = (max(map(len, column)) for column in zip(*fields, strict=True))
        for (field, kind), (member, _, required) in zip(fields, members, strict=True):
            tag = f'`json:"{member}{"" if required else ",omitempty"}"`'
            lines.append(f"\t{field:<{names}} {kind:<{kinds}} {tag}")
        parts.append("\n".join([*lines, "}\n"]))
    return "\n".join(parts)


Member = tuple[str, dict[str, Any], bool]


def _schemas(document: dict[str, Any]) -> Iterator[tuple[str, str, list[Member]]]:
    """Name, first sentence and members (name, schema, whether required) of each wanted schema."""
    for name in WANTED:
        schema = document["components"]["schemas"][name]
        text = re.split(r"(?<=\.)\s", " ".join(schema.get("description", "").split()))[0]
        required = schema.get("required", ())
        yield (
            name,
            text,
            [(member, each, member in required) for member, each in schema["properties"].items()],
        )


def _resolved(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """A reference to a schema that has no type of its own here is that schema."""
    name = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = document["components"]["schemas"][name] if name and name not in WANTED else schema
    return found


class Dialect(NamedTuple):
    """How a language writes types. `plain`: by the names of JSON Schema. `list` and `map` are formats."""

    plain: Mapping[str, str]
    enum: Callable[[list[Any]], str]
    list: str
    map: str
    any: str

    def type_of(self, schema: dict[str, Any], document: dict[str, Any]) -> str:
        """The type of a schema; unions by `|`."""
        match _resolved(schema, document):
            case {"$ref": reference}:
                return str(reference.rpartition("/")[2])
            case {"enum": values}:
                return self.enum(values)
            case {"anyOf": some}:
                return " | ".join(dict.fromkeys(self.type_of(one, document) for one in some))
            case {"type": list(kinds)}:
                return " | ".join(self.type_of({"type": kind}, document) for kind in kinds)
            case {"type": "array", "items": items}:
                return self.list.format(self.type_of(items, document))
            case {"type": "object", "additionalProperties": dict(more)} if more:
                return self.map.format(self.type_of(more, document))
            case {"type": str(kind)}:
                return self.plain[kind]
        return self.any


PYTHON = Dialect(
    _PYTHON, lambda values: f"Literal[{', '.join(map(repr, values))}]", "list[{}]", "dict[str, {}]", "Any"
)
TYPESCRIPT = Dialect(
    _TYPESCRIPT,
    lambda values: " | ".join(json.dumps(value).replace('"', "'") for value in values),
    "Array<{}>",
    "Record<string, {}>",
    "unknown",
)


def _go(schema: dict[str, Any], document: dict[str, Any]) -> str:
    match _resolved(schema, document):
        case {"$ref": reference}:
            return str(reference.rpartition("/")[2])
        case {"enum": [str(), *_]}:
            return "string"
        case {"anyOf": [one, {"type": "null"}]}:
            kind = _go(one, document)
            return kind if kind.startswith(("[]", "map", "any")) else f"*{kind}"
        case {"type": "array", "items": items}:
            return f"[]{_go(items, document)}"
        case {"type": "object", "additionalProperties": dict(more)} if more:
            return f"map[string]{_go(more, document)}"
        case {"type": str(kind)}:
            return _GO.get(kind, "any")
    return "any"


def _go_field(schema: dict[str, Any], document: dict[str, Any], required: bool) -> str:
    """The type of a member: one that may be missing is "", nil or empty then."""
    kind = _go(schema, document)
    if required:
        return kind
    if kind.startswith(("*", "[]", "map", "any", "string")):
        return kind.replace("*string", "string")
    return f"*{kind}"


def _camel(name: str) -> str:
    """`notification_id` → `NotificationID`, as Go writes it."""
    return "".join(
        "ID" if word == "id" else "IDs" if word == "ids" else word.title() for word in name.split("_")
    )


def sync(text: str) -> str:
    """The text of _sync.py."""
    for one, other in _SYNC:
        text = text.replace(one, other)
    text = re.sub(
        r'^""".*?"""',
        '"""The sync client, made from _async.py by clients/make.py. Do not edit."""',
        text,
        flags=re.DOTALL,
    )
    assert "await" not in text
    return text


def made(document: dict[str, Any]) -> dict[Path, str]:
    """The text of every file that is made, by its path."""
    package = CLIENTS / "python" / "pns_client"
    return {
        package / "types.py": python_types(document),
        package / "_sync.py": sync((package / "_async.py").read_text("utf-8")),
        CLIENTS / "node" / "types.d.ts": typescript_types(document),
        CLIENTS / "go" / "types.go": go_types(document),
    }


async def openapi() -> dict[str, Any]:
    """The openapi.json of a PNS that runs for a moment."""
    with tempfile.TemporaryDirectory() as folder:
        app, auth = AppSettings(api_keys=("0123456789abcdef",)), AuthSettings("http://127.0.0.1:1/")
        store = StoreSettings(url=f"sqlite:///{folder}/pns.db")
        node, web = assemble(Settings(app=app, auth=auth, store=store))
        transport = httpx2.ASGITransport(app=web)
        async with node, httpx2.AsyncClient(transport=transport, base_url="http://pns") as client:
            found: dict[str, Any] = (await client.get("/openapi.json")).json()
            return found


if __name__ == "__main__":
    for path, text in made(asyncio.run(openapi())).items():
        path.write_text(text)
