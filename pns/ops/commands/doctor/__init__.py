"""`pns doctor`: asks a running deployment the questions of a stuck operator. Each bad answer has its remedy.

Nothing that the doctor changes stays: its single notification is withdrawn again. The application gets an
example of a webhook, about a user named `example`.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from pns.ops.commands.doctor.application import check_application
from pns.ops.commands.doctor.broker import check_bus
from pns.ops.commands.doctor.database import check_database
from pns.ops.commands.doctor.finding import Finding, Verdict
from pns.ops.commands.doctor.later import check_later
from pns.ops.commands.doctor.outgoing import check_outgoing
from pns.ops.commands.doctor.push import check_push
from pns.ops.commands.doctor.site import check_site
from pns.ops.commands.doctor.tokens import check_tokens
from pns.ops.commands.doctor.way import Way
from pns.ops.commands.doctor.webhook import check_webhook
from pns.settings import Settings


async def examine(
    settings: Settings,
    *,
    url: str,
    cookies: Sequence[str],
    origin: str,
    headers: Sequence[str] = (),
    token: str = "",
    database: str = "",
) -> int:
    """Ask everything, print the report, and return the exit code: 0 when nothing is wrong, else 1.

    `url` is the address of PNS for devices, `origin` the origin of the pages. `cookies` (`name=value`) and
    `headers` (`Name: value`) come from the browser of a logged-in user. `token`: an access token of the
    application. `database`: the URL of the application's database, with its table pns_outgoing.
    """
    console = Console(highlight=False, soft_wrap=True)
    findings: list[Finding] = []
    login = _login(cookies, headers)
    way = Way(settings, url=url, login=login, origin=origin, token=token)
    beside = (
        check_database(settings),
        check_bus(settings),
        check_push(settings, url=url),
        check_webhook(settings),
        check_later(settings),
        check_outgoing(database),
    )
    before = (check_application(settings, login, url=url), check_tokens(settings, token))
    for answers in (*before, *beside, way.check()):
        async for finding in answers:
            findings.append(finding)
            _print(console, finding)
    for finding in check_site(settings, url=url, origin=origin):
        findings.append(finding)
        _print(console, finding)
    failed = sum(finding.verdict is Verdict.BAD for finding in findings)
    left_out = sum(finding.verdict is Verdict.NOT_ASKED for finding in findings)
    console.print(f"\n{len(findings)} questions, {failed} with a bad answer, {left_out} not asked.")
    return 1 if failed else 0


def _login(cookies: Sequence[str], headers: Sequence[str]) -> dict[str, str]:
    """The headers of a logged-in browser, names in lower case."""
    lines = [line.partition(":") for line in headers]
    login = {name.strip().lower(): value.strip() for name, _, value in lines}
    return login | ({"cookie": "; ".join(cookies)} if cookies else {})


def _print(console: Console, finding: Finding) -> None:
    console.print(f"{finding.verdict.value} {finding.question}: {escape(finding.answer)}")
    if finding.remedy:
        console.print(f"    → {escape(finding.remedy)}")
