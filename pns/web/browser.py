"""The files for browsers: every script of pns/browser under its own name, and under one with the version.

The plain name is asked about at each use and mostly answered 304; the versioned name never changes and is
kept. Both are public: no login, no cookie. They are read once, when PNS starts.

A script with a folder of the same name (client.js, client/) has its parts in that folder. PNS serves such a
script as one text, so that a page waits for one request and not for a chain of imports.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from pns.errors import NotFound, OriginNotAllowed
from pns.web.contract.operation import Answer, Operation
from pns.web.entrance import Entrance
from pns.web.problems import Headers
from pns.web.routing import Route

SCRIPTS = Path(__file__).parents[1] / "browser"
REVALIDATE = b"no-cache"
FOR_GOOD = b"public, max-age=31536000, immutable"
_MEDIA_TYPE = "text/javascript"
_IMPORTED = "push-worker"
"""What a worker of another origin takes in by importScripts, which names no origin: so it is everybody's."""
_OPERATION = Operation(
    caller="anyone",
    answers=(
        Answer(200, "The script.", body=str, media_type=_MEDIA_TYPE, headers={"ETag": "Of this content."}),
        Answer(304, "`If-None-Match` names the ETag of today's.", headers={"ETag": "Of this content."}),
    ),
    problems=(NotFound,),
)


_SIBLING = re.compile(r'^(?:import|export) \{ (?P<names>[\w, ]+) \} from "\./(?P<path>[\w/]+\.js)";\n', re.M)
"""The one form in which a part names another. tests/browser/test_joined.py refuses every other form."""
_EXPORT = re.compile(r"^export (?=class |const |function )", re.M)


def joined(script: Path) -> str:
    """The text of `script` as a page gets it: with its parts in place of the lines that name them.

    A part comes once, behind all parts that the part imports. The parts share the scope of one module.
    """
    text = script.read_text()
    parts = script.with_suffix("")
    if not parts.is_dir():
        return text
    lines = list(_SIBLING.finditer(text))
    order = dict.fromkeys(part for line in lines for part in _with_imports(script.parent / line["path"]))
    bodies = [_EXPORT.sub("", _SIBLING.sub("", part.read_text())) for part in order]
    names = ", ".join(line["names"] for line in lines)
    return "\n".join([_SIBLING.sub("", text).rstrip("\n") + "\n", *bodies, f"export {{ {names} }};\n"])


def _with_imports(part: Path) -> Iterator[Path]:
    for line in _SIBLING.finditer(part.read_text()):
        yield from _with_imports(part.parent / line["path"])
    yield part


class BrowserFile(NamedTuple):
    content: bytes
    etag: str
    caching: bytes
    imported: bool


class BrowserFiles:
    """Pages of other origins may load them where `server.allowed_origins` says so."""

    def __init__(self, entrance: Entrance, version: str) -> None:
        self._entrance = entrance
        self._files: dict[str, BrowserFile] = {}
        for path in SCRIPTS.iterdir():
            name, _, ending = path.name.partition(".")
            if ending == "js":
                self._add(name, joined(path).encode(), version)

    def _add(self, name: str, content: bytes, version: str) -> None:
        etag = f'"{sha256(content).hexdigest()[:32]}"'
        imported = name == _IMPORTED
        self._files[name] = BrowserFile(content, etag, REVALIDATE, imported)
        self._files[f"{name}-{version}"] = BrowserFile(content, etag, FOR_GOOD, imported)

    @property
    def routes(self) -> list[Route]:
        return [Route("GET", "/{module}.js", self.module, _OPERATION)]

    async def module(self, request: Request, parameters: dict[str, str]) -> Response:
        """A script for pages: the client, the bell, and their workers; ES modules but for push-worker.js."""
        file = self._files.get(parameters["module"])
        if file is None:
            raise NotFound
        known = _matches(request, file.etag)
        response = Response(b"" if known else file.content, 304 if known else 200)
        response.raw_headers = [
            *([] if known else response.raw_headers),
            (b"content-type", f"{_MEDIA_TYPE}; charset=utf-8".encode()),
            (b"etag", file.etag.encode()),
            (b"cache-control", file.caching),
            (b"x-content-type-options", b"nosniff"),
            *self._sharing(request, file),
        ]
        return response

    def _sharing(self, request: Request, file: BrowserFile) -> Headers:
        """Who else than pages of this origin may use it: the allowed origins, and nobody."""
        try:
            cors = self._entrance.check(request.scope)
        except OriginNotAllowed as problem:
            cors = []
            if not file.imported:
                self._entrance.tell(problem)
        policy = b"cross-origin" if cors or file.imported else b"same-origin"
        # A cache in between must not hand one origin's answer to another.
        vary = [] if cors else [(b"vary", b"Origin")]
        return [*cors, *vary, (b"cross-origin-resource-policy", policy)]


def _matches(request: Request, etag: str) -> bool:
    """RFC 9110 §13.1.2: any entry equal but for the mark of weakness, or `*`."""
    wanted = [
        entry.strip().removeprefix("W/")
        for value in request.headers.getlist("if-none-match")
        for entry in value.split(",")
    ]
    return etag in wanted or "*" in wanted
