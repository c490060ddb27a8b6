"""A stranger's Django project: what startproject makes, and what docs/django.md tells to write."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx2 as httpx

from tests.docs.pages import ROOT, Snippet, snippets

PAGE = ROOT / "docs" / "django.md"
TO_WRITE = 40
"""Lines of code, all in all, and no command but the two of the page."""
APPENDED = ("shop/settings.py", "shop/asgi.py")
"""Files of startproject that are written at the end; others are written anew."""
ADMIN = {"DJANGO_SUPERUSER_USERNAME": "ann", "DJANGO_SUPERUSER_PASSWORD": "secret"}


def files(option: str) -> list[Snippet]:
    return [one for one in snippets(PAGE) if option in one.options and "file" in one.options]


def commands() -> list[list[str]]:
    (console,) = [one for one in snippets(PAGE) if one.kind == "console project"]
    return [line.removeprefix("$ ").split() for line in console.text.splitlines()]


class Project:
    """A folder with a Django project."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("PNS", "DJANGO"))
        }
        self.environment = inherited | ADMIN | {"DJANGO_SUPERUSER_EMAIL": "ann@shop.test"}
        self.log = folder / "server.log"

    def run(self, *words: str) -> str:
        command = [sys.executable, *words]
        done = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def begin(self) -> None:
        """As the page has it, with passwords that cost no second of a test."""
        self.run("-m", "django", "startproject", "shop", ".")
        with (self.folder / "shop" / "settings.py").open("a") as settings:
            settings.write('PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]\n')

    def write(self, parts: list[Snippet]) -> None:
        for part in parts:
            path = self.folder / part.options["file"]
            path.parent.mkdir(exist_ok=True)
            before = path.read_text() if part.options["file"] in APPENDED else ""
            path.write_text(f"{before}\n{part.text}" if before else part.text)

    def start(self, *words: str, log: str = "server.log") -> subprocess.Popen[bytes]:
        command = [sys.executable, *words]
        with (self.folder / log).open("wb") as told:
            return subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=told, stderr=told)

    async def answers(self, site: str) -> bool:
        """Whether the project answers at `site`."""
        try:
            async with httpx.AsyncClient(trust_env=False) as client:
                return (await client.get(site)).status_code < 500
        except httpx.HTTPError:
            return False
