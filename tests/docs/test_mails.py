"""The applications of docs/webhooks.md that write mails: real processes, up to a real SMTP server."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

import httpx2 as httpx
import pytest
from standardwebhooks import Webhook

from pns import PNS, Notification, Settings
from pns.settings import ServerSettings, WebhookSettings
from pns.testing import FakeClock, temporary_pns
from tests.harness.running import running
from tests.harness.server import free_port
from tests.harness.smtp import MailServer

from .pages import Snippet, all_snippets

SNIPPETS = [one for one in all_snippets() if one.place.startswith("webhooks.md") and "app" in one.options]
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PUBLIC_URL = "https://app.example.com/pns"
ADDRESS = "ann@example.com"

_SETTINGS = """
import os
SECRET_KEY = "change me"
ALLOWED_HOSTS = ["*"]
USE_TZ = True
ROOT_URLCONF = "shop.urls"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "shop"]
MIDDLEWARE = ["django.middleware.csrf.CsrfViewMiddleware"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "django.db"}}
DEFAULT_FROM_EMAIL = os.environ["MAIL_FROM"]
EMAIL_HOST, EMAIL_PORT = os.environ["SMTP_HOST"], int(os.environ["SMTP_PORT"])
"""
_URLS = """
from django.urls import path
from shop import mails
urlpatterns = [path("pns-hook", mails.hook)]
"""
_USERS = """
import django
django.setup()
from django.contrib.auth.models import User
from django.core.management import call_command
call_command("migrate", run_syncdb=True, verbosity=0)
User.objects.create(pk=42, username="ann", email="ann@example.com")
call_command("runserver", "--noreload", f"127.0.0.1:{__import__('os').environ['PORT']}")
"""
_FLASK_USERS = """
import os, sqlite3
from main import app
with sqlite3.connect("shop.db") as db:
    db.execute("INSERT INTO users VALUES ('42', 'ann@example.com')")
db.close()
app.run(port=int(os.environ["PORT"]))
"""


def _django(folder: Path) -> list[str]:
    (folder / "shop" / "__init__.py").write_text("")
    (folder / "shop" / "settings.py").write_text(_SETTINGS)
    (folder / "shop" / "urls.py").write_text(_URLS)
    (folder / "start.py").write_text(_USERS)
    return [sys.executable, "start.py"]


def _flask(folder: Path) -> list[str]:
    (folder / "start.py").write_text(_FLASK_USERS)
    return [sys.executable, "start.py"]


def _express(folder: Path) -> list[str]:
    (folder / "node_modules").symlink_to(Path(__file__).parent / "node_modules")
    return ["node", "main.js"]


APPLICATIONS: dict[str, Callable[[Path], list[str]]] = {
    "django": _django,
    "flask": _flask,
    "express": _express,
}


@pytest.fixture
async def smtp() -> AsyncIterator[MailServer]:
    async with MailServer() as server:
        yield server


@asynccontextmanager
async def served(name: str, folder: Path, smtp: MailServer) -> AsyncIterator[str]:
    """The URL of the hook in the application `name`, which writes its mails to `smtp`."""
    for snippet in _files(name):
        path = folder / snippet.options["file"]
        path.parent.mkdir(exist_ok=True)
        path.write_text(snippet.text)
    port = free_port()
    told = {
        "WEBHOOK_SECRET": SECRET,
        "SMTP_HOST": smtp.host,
        "SMTP_PORT": str(smtp.port),
        "MAIL_FROM": "shop@example.com",
        "PORT": str(port),
        "DJANGO_SETTINGS_MODULE": "shop.settings",
    }
    url = f"http://127.0.0.1:{port}/pns-hook"
    async with running(APPLICATIONS[name](folder), folder, url, environment=told):
        yield url


def _files(name: str) -> list[Snippet]:
    found = [snippet for snippet in SNIPPETS if snippet.options["app"] == name]
    assert found
    return found


def test_each_framework_has_an_application() -> None:
    assert {snippet.options["app"] for snippet in SNIPPETS} == APPLICATIONS.keys()


@pytest.mark.parametrize("name", APPLICATIONS)
async def test_a_mail_is_written_once(name: str, tmp_path: Path, smtp: MailServer) -> None:
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(served(name, tmp_path, smtp))
        clock = FakeClock(time.time_ns() // 1000 - 901_000_000)  # a signature is good for five minutes
        settings = Settings(
            server=ServerSettings(public_url=PUBLIC_URL), webhook=WebhookSettings(url=url, secret=SECRET)
        )
        pns = await stack.enter_async_context(temporary_pns(clock=clock, settings=settings))
        await pns.declare_category("orders", "Orders")
        await pns.declare_category("logins", "Logins", required=["webhook"])
        for category in ("orders", "logins"):
            await pns.notify("42", Notification({"title": f"Of {category}"}, category=category))
        await pns.notify("43", {"title": "Of somebody without an address"})
        await pns.notify("42", {"title": "Seen in time"})
        await pns.mark("42", "seen", notification_ids=[(await _ids(pns))[-1]])
        clock.advance(890)
        assert smtp.mails == []
        smtp.away = True
        await _until(lambda: smtp.refused, clock)
        smtp.away = False
        await _until(lambda: smtp.mails, clock)
        (mail,) = smtp.mails
        link = _checked(mail)
        await _post_by_hand(url)
        assert len(smtp.mails) == 2, "neither a forged event nor a repeat writes a mail"
        assert smtp.mails[1]["List-Unsubscribe"] is None
        await pns.notify("42", Notification({"title": "Too soon"}, category="orders"))
        clock.advance(1000)
        for _ in range(20):
            clock.advance(0.5)
            await asyncio.sleep(0.01)
        assert len(smtp.mails) == 2, "one an hour at most"
        await _one_click(pns, link)
        chosen = {found.category: found.webhook for found in await pns.preferences("42")}
        assert chosen == {"orders": False, "logins": True}


def _checked(mail: EmailMessage) -> str:
    """The link of the one click, after the mail was looked at."""
    assert (mail["To"], mail["From"], mail["Subject"]) == (ADDRESS, "shop@example.com", "2 unseen")
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    link = str(mail["List-Unsubscribe"]).replace(" ", "").removeprefix("<").removesuffix(">")
    assert link.startswith(f"{PUBLIC_URL}/unsubscribe?token=")
    lines = str(mail.get_content()).split("\n")
    assert [line.strip() for line in lines[:2]] == ["Of orders", "Of logins"]
    assert f"No more mails about orders: {link}" in [line.strip() for line in lines]
    assert "logins:" not in mail.get_content(), "nobody turns off what is required"
    return link


async def _one_click(pns: PNS, link: str) -> None:
    """As a mail program does it (RFC 8058 §3.2)."""
    transport = httpx.ASGITransport(app=pns)
    async with httpx.AsyncClient(transport=transport, base_url="https://app.example.com") as client:
        answer = await client.post(
            link.replace(PUBLIC_URL, ""), data={"List-Unsubscribe": "One-Click"}, headers={"cookie": ""}
        )
    assert answer.status_code == 200, answer.text


async def _post_by_hand(url: str) -> None:
    """A forged event, one without links, and its repeat."""
    body = (
        '{"type": "notifications.unseen", "timestamp": "2026-11-21T19:46:00.123456Z", "data": {'
        '"user_id": "42", "unseen": 1, "more": false, "notifications": [{"notification_id": "a", '
        '"notification_data": "{\\"title\\": \\"x\\"}", "create_date": "2026-11-21T19:31:00.123456Z"}]}}'
    )
    async with httpx.AsyncClient(trust_env=False) as client:
        for secret, status in (("whsec_" + "A" * 32, 401), (SECRET, 204), (SECRET, 204)):
            headers = _signed(body, secret)
            answer = await client.post(url, content=body, headers=headers)
            assert answer.status_code == status, answer.text


def _signed(body: str, secret: str) -> dict[str, str]:
    now = datetime.now(UTC)
    return {
        "content-type": "application/json",
        "webhook-id": "evt_again",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign("evt_again", now, body),
    }


async def _ids(pns: PNS) -> list[str]:
    return [item.notification_id async for item in pns.export("42")]


async def _until(condition: Callable[[], object], clock: FakeClock) -> None:
    async with asyncio.timeout(30):
        while not condition():
            clock.advance(0.5)
            await asyncio.sleep(0.02)
