"""The doctor's question about the device cookie, against answers as proxies and nodes spoil them."""

from __future__ import annotations

from collections.abc import Callable

import httpx2 as httpx
import pytest

from pns.ops.commands.doctor.device_cookie import check_kept
from pns.ops.commands.doctor.finding import Verdict

Answer = Callable[[httpx.Request], httpx.Response]


def subscribed(device: str, set_cookie: str | None) -> httpx.Response:
    headers = {} if set_cookie is None else {"set-cookie": set_cookie}
    return httpx.Response(200, json={"user_id": "42", "device_id": device}, headers=headers)


def knows(cookie: str, attributes: str = "Path=/") -> Answer:
    """A PNS that knows a browser with `cookie`."""
    return lambda request: subscribed(
        "old" if "cookie" not in request.headers or cookie in request.headers["cookie"] else "new",
        f"pns_device=signed; {attributes}; HttpOnly",
    )


@pytest.mark.parametrize(
    ("answer", "url", "verdict", "told"),
    [
        (knows("pns_device=signed"), "https://a.example/pns/subscribe", Verdict.GOOD, "PNS knows it again"),
        (
            knows("pns_device=signed", "Path=/pns"),
            "https://a.example/pns/subscribe",
            Verdict.GOOD,
            "Path=/pns",
        ),
        (knows("", "Path=/pns"), "https://a.example/api/pns/subscribe", Verdict.BAD, "--root-path /api"),
        (knows("", "Path=/pn"), "https://a.example/pns/subscribe", Verdict.BAD, "browsers ask below /pns"),
        (knows("", "Path=/; Secure"), "http://a.example/subscribe", Verdict.BAD, "X-Forwarded-Proto"),
        (knows("", "Path=/; Secure"), "http://localhost:8080/subscribe", Verdict.GOOD, "knows it again"),
        (knows("no such cookie"), "https://a.example/subscribe", Verdict.BAD, "session.secret"),
        (lambda request: subscribed("old", None), "https://a.example/subscribe", Verdict.BAD, "Set-Cookie"),
    ],
)
async def test_each_way_in_which_a_cookie_is_lost(
    answer: Answer, url: str, verdict: Verdict, told: str
) -> None:
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        finding = await check_kept(client, url, {"authorization": "Bearer x"})
    assert finding.verdict is verdict
    assert told in finding.answer + finding.remedy
