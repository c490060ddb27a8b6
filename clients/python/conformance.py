"""The driver of the conformance cases for this client (../conformance/README.md). `--async`: of AsyncPNS."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from pns_client import PNS, AsyncPNS, BadSignature, Problem, verify_webhook

RENAMED = {"as": "as_"}


async def call(client: PNS | AsyncPNS, name: str, members: dict[str, Any]) -> Any:
    if name == "verify_webhook":
        return verify_webhook(**members)
    if name == "notify_users":
        members["users"] = [(user["user_id"], user["notifications"]) for user in members["users"]]
    result = getattr(client, name)(
        **{RENAMED.get(member, member): value for member, value in members.items()}
    )
    if inspect.isasyncgen(result):
        return [item async for item in result]
    if inspect.isgenerator(result):
        return list(result)
    return await result if inspect.isawaitable(result) else result


async def answer(client: PNS | AsyncPNS, asked: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"returns": await call(client, asked["call"], asked["with"])}
    except BadSignature:
        return {"raises": {"status": 0, "code": "bad_signature"}}
    except Problem as problem:
        at = [error.at for error in problem.errors]
        code = problem.code if type(problem) is Problem.of.get(problem.code) else "of no type"
        return {"raises": {"status": problem.status, "code": code, "at": at}}


async def main() -> None:
    kind = AsyncPNS if "--async" in sys.argv else PNS
    client = kind(os.environ["PNS_URL"], os.environ["PNS_KEY"], first_wait=0.01)
    for line in iter(sys.stdin.readline, ""):
        print(json.dumps(await answer(client, json.loads(line))), flush=True)


asyncio.run(main())
