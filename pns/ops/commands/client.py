"""The commands that talk to a running server: `pns notify` and `pns listen`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import httpx2 as httpx
import msgspec
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from pns.errors import PNSError
from pns.model.messages import SUBPROTOCOL
from pns.runtime.one_line import printable

TIMEOUT_SECONDS = 10.0


async def send_notification(url: str, *, key: str, user_id: str, data: str) -> str:
    """POST a notification to the server at `url`; returns its id. Raises PNSError with the reason."""
    body = {"user_id": user_id, "notifications": [{"notification_data": data}]}
    try:
        async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS, trust_env=False) as client:
            response = await client.post(
                f"{url.rstrip('/')}/notify", json=body, headers={"authorization": f"Bearer {key}"}
            )
    except httpx.HTTPError as error:
        raise PNSError(
            f"no answer from {url}: {error or type(error).__name__}. Does PNS run there?"
        ) from None
    if response.status_code not in (200, 201):
        raise PNSError(f"{url} answered {response.status_code}: {_detail(response)}")
    try:
        return str(response.json()["notification_ids"][0])
    except (ValueError, LookupError, TypeError):
        raise PNSError(f"{url} did not answer as PNS does: {_excerpt(response)}") from None


def _detail(response: httpx.Response) -> str:
    try:
        return printable(str(response.json()["detail"]))
    except (ValueError, LookupError, TypeError):
        return _excerpt(response)


def _excerpt(response: httpx.Response) -> str:
    return printable(response.text, 200)


async def listen(
    url: str, *, cookies: Sequence[str], headers: Sequence[str], echo: Callable[[str], object]
) -> None:
    """Connect as a device and hand every message to `echo`, until the server closes. Raises PNSError.

    `cookies` are `name=value`, `headers` are `Name: value`.
    """
    address = url.rstrip("/").replace("http", "ws", 1) + "/subscribe"
    extra = [_header(line) for line in headers]
    if cookies:
        extra.append(("Cookie", "; ".join(cookies)))
    try:
        async with connect(
            address,
            additional_headers=extra,
            subprotocols=[SUBPROTOCOL],  # type: ignore[list-item]
            proxy=None,
        ) as socket:
            async for message in socket:
                echo(str(message))
    except InvalidStatus as error:
        raise PNSError(f"{url} refused the connection: {_problem(error)}") from None
    except (OSError, InvalidHandshake, TimeoutError) as error:
        raise PNSError(f"cannot connect to {address}: {error}") from None
    except ConnectionClosed as error:
        raise PNSError(f"the connection ended: {error}") from None


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip(), value.strip()


def _problem(error: InvalidStatus) -> str:
    response = error.response
    try:
        problem = msgspec.json.decode(response.body or b"{}", type=dict[str, object])
    except msgspec.DecodeError:
        problem = {}
    return f"{response.status_code} {printable(str(problem.get('detail', response.reason_phrase)), 500)}"
