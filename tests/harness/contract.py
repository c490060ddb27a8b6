"""The OpenAPI document of a running PNS, held against the answers that it gives."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urlsplit

import httpx2 as httpx
from jsonschema import Draft202012Validator, FormatChecker

Schema = dict[str, Any]


class Contract:
    """Answers that a document does not show, in status, media type, headers or body, are AssertionErrors."""

    def __init__(self, document: Schema) -> None:
        self.document = document
        self.checked = 0
        self._paths = [
            (
                re.compile(
                    re.sub(r"{\w+}", "[^/]+", re.escape(template).replace(r"\{", "{").replace(r"\}", "}"))
                ),
                item,
            )
            for template, item in document["paths"].items()
        ]

    @classmethod
    async def of(cls, url: str) -> Contract:
        async with httpx.AsyncClient(trust_env=False) as client:
            return cls((await client.get(f"{url}/openapi.json")).json())

    def watch(self, client: httpx.AsyncClient) -> None:
        """Check every answer that `client` gets from now on."""
        client.event_hooks = {"request": [], "response": [self._check_whole]}

    async def _check_whole(self, response: httpx.Response) -> None:
        await response.aread()
        self.check(response)

    def check(self, response: httpx.Response) -> None:
        """`response` is one that its operation shows; elsewhere it is a 404 or a 405."""
        where = f"{response.request.method} {response.request.url}: {response.status_code}"
        shown = self._answers(response.request).get(str(response.status_code))
        assert shown is not None, f"{where} is not in the document: {response.text}"
        shown = self._resolve(shown)
        for name, header in shown.get("headers", {}).items():
            assert name in response.headers or not header["required"], f"{where} lacks {name}"
        self._check_body(shown.get("content"), response, where)
        self.checked += 1

    def _check_body(self, content: Schema | None, response: httpx.Response, where: str) -> None:
        if content is None:
            assert response.content == b"", f"{where} has a body"
            return
        media_type = response.headers["content-type"].partition(";")[0]
        assert media_type in content, f"{where} is {media_type}"
        schema = content[media_type]["schema"]
        if media_type == "application/x-ndjson":
            # Not splitlines(): a JSON text may hold U+2028.
            for line in filter(None, response.content.split(b"\n")):
                self.validate(json.loads(line), schema)
        elif "json" in media_type:
            self.validate(response.json(), schema)

    def validate(self, value: object, schema: Schema) -> None:
        """Raise jsonschema's ValidationError unless `value` fits `schema`."""
        whole = {**schema, "components": self.document["components"]}
        Draft202012Validator(whole, format_checker=FormatChecker()).validate(value)

    def _answers(self, request: httpx.Request) -> Schema:
        path = urlsplit(str(request.url)).path
        methods: set[str] = set()
        for pattern, item in self._paths:
            if pattern.fullmatch(path):
                methods |= set(item)
                if request.method.lower() in item:
                    answers: Schema = item[request.method.lower()]["responses"]
                    return answers
        name, status = ("MethodNotAllowed", "405") if methods else ("NotFound", "404")
        return {status: {"$ref": f"#/components/responses/{name}"}}

    def _resolve(self, shown: Schema) -> Schema:
        name = shown.get("$ref", "").rpartition("/")[2]
        found: Schema = self.document["components"]["responses"][name] if name else shown
        return found
