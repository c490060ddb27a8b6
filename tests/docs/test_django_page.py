"""docs/django.md with a service: Django's own runserver, PNS beside it, and the commands of the page."""

from __future__ import annotations

import asyncio
import re
import signal
from pathlib import Path

import httpx2 as httpx

from tests.harness import Device, ServerProcess, eventually
from tests.harness.django_stranger import ADMIN, Project, files
from tests.harness.server import API_KEY, free_port

MIGRATED = """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "shop.settings"
import django
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
call_command("createsuperuser", interactive=False, verbosity=0)
"""


async def submitted(browser: httpx.AsyncClient, path: str, **fields: str) -> httpx.Response:
    """What a form of the admin is answered with."""
    page = await browser.get("/admin/login/" if path == "/admin/login/" else "/admin/")
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
    assert token is not None, page.text
    return await browser.post(path, data={"csrfmiddlewaretoken": token[1], **fields})


async def test_a_project_beside_a_service(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    project, port = Project(folder), free_port()
    site = f"http://127.0.0.1:{port}"
    await asyncio.to_thread(project.begin)
    async with ServerProcess(tmp_path, auth_url=f"{site}/pns-auth", auth__cache_seconds=0) as server:
        project.write(files("service"))
        settings = folder / "shop" / "settings.py"
        told = settings.read_text()
        for before, after in (("http://127.0.0.1:8080", server.url), ("make-one-with-pns-keygen", API_KEY)):
            assert told.count(before) == 1
            told = told.replace(before, after)
        settings.write_text(told)
        await asyncio.to_thread(project.run, "-c", MIGRATED)
        processes = [
            project.start("manage.py", "runserver", "--noreload", str(port)),
            project.start("manage.py", "pns_forward", log="forward.log"),
        ]
        try:
            await eventually(lambda: project.answers(f"{site}/admin/login/"), within=60)
            async with httpx.AsyncClient(base_url=site, trust_env=False, timeout=60) as browser:
                name, password = ADMIN.values()
                await submitted(browser, "/admin/login/", username=name, password=password)
                cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
                async with Device.connect(server.url, headers={"Cookie": cookies}) as device:
                    assert await device.count() == 0
                    words = ("pns_notify", "Order shipped", "--username", name)
                    await asyncio.to_thread(project.run, "manage.py", *words)
                    await device.count_is(1)
                    asked = await browser.get(f"{server.url}/operator", headers={"cookie": cookies})
                    assert asked.status_code == 200
                    assert (await submitted(browser, "/admin/logout/")).status_code == 200
                    assert await device.closed() == 4501
            assert "PNS answers, and knows the key" in await asyncio.to_thread(
                project.run, "manage.py", "pns_doctor"
            )
        finally:
            for process in processes:
                process.send_signal(signal.SIGINT)
            for process in processes:
                await asyncio.to_thread(process.wait, 30)
    # The logout is a row, too, which its own request may have done before the forwarder came.
    assert re.search(r"^ended: [12] forwarded$", (folder / "forward.log").read_text(), re.MULTILINE)
    assert "Traceback" not in project.log.read_text()
