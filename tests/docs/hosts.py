"""Applications of the docs, served by the command of the docs, with a login made from outside."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2 as httpx
from itsdangerous import TimestampSigner

from tests.harness.server import free_port

from .pages import Snippet

SECRET = "change me"
BIN = str(Path(sys.executable).parent)

_DJANGO = {
    "shop/__init__.py": "",
    "shop/settings.py": f"""
SECRET_KEY = {SECRET!r}
ALLOWED_HOSTS = ["*"]
USE_TZ = True
ROOT_URLCONF = "shop.urls"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
]
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": "django.db"}}}}
""",
    "shop/urls.py": """
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from shop import auth, views

urlpatterns = [path("ship/<str:user_id>", csrf_exempt(views.ship)), path("pns-auth", auth.pns_auth)]
""",
    # What the view in the README leaves to its reader.
    "shop/auth.py": """
from django.http import JsonResponse
from django.views.decorators.csrf import csrf_exempt

""",
}
_DJANGO_LOGIN = """
import django
django.setup()
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.core.management import call_command
call_command("migrate", verbosity=0)
user = User.objects.create_user("alice", password="secret")
session = SessionStore()
session[SESSION_KEY] = str(user.pk)
session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
session[HASH_SESSION_KEY] = user.get_session_auth_hash()
session.create()
print(user.pk, f"sessionid={session.session_key}")
"""


def session_cookie(user_id: str) -> str:
    """The cookie of Starlette's SessionMiddleware for a user who has logged in."""
    data = b64encode(json.dumps({"user_id": user_id}).encode())
    return f"session={TimestampSigner(SECRET).sign(data).decode()}"


def write_starlette(folder: Path, files: list[Snippet]) -> tuple[str, str, str]:
    """The application of `files` in `folder`: what to serve, a user, and their cookie."""
    (only,) = files
    (folder / "main.py").write_text(only.text)
    return "main:app", "42", session_cookie("42")


def write_django(folder: Path, files: list[Snippet], view: Snippet) -> tuple[str, str, str]:
    """As `write_starlette`, with Django's session; `view` is what a separate PNS would ask."""
    (folder / "shop").mkdir()
    written = {snippet.options["file"]: snippet.text for snippet in files}
    whole = _DJANGO | written
    whole["shop/auth.py"] += view.text
    for name, text in whole.items():
        (folder / name).write_text(text)
    login = [sys.executable, "-c", _DJANGO_LOGIN]
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "shop.settings"}
    printed = subprocess.run(login, cwd=folder, env=environment, check=True, capture_output=True, text=True)
    user_id, cookie = printed.stdout.split()
    return "shop.asgi:application", user_id, cookie


@asynccontextmanager
async def served(command: Snippet, target: str, folder: Path) -> AsyncIterator[str]:
    """The URL of `target`, served in `folder` by the docs' own command line."""
    port = free_port()
    line = f"{command.text.rstrip().replace('main:app', target)} --port {port}"
    process = _start(line, folder)
    try:
        url = f"http://127.0.0.1:{port}"
        await _listening(url, process, folder)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        await asyncio.to_thread(process.wait, 30)


def _start(line: str, folder: Path) -> subprocess.Popen[bytes]:
    environment = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"}
    with (folder / "server.log").open("wb") as log:
        return subprocess.Popen(
            ["bash", "-ec", line], cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )


async def _listening(url: str, process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + 30
    async with httpx.AsyncClient(trust_env=False) as client:
        while True:
            try:
                await client.get(url)
                return
            except httpx.HTTPError:
                _check(process, deadline, folder)
            await asyncio.sleep(0.02)


def _check(process: subprocess.Popen[bytes], deadline: float, folder: Path) -> None:
    if process.poll() is not None or time.monotonic() > deadline:
        raise AssertionError((folder / "server.log").read_text())
