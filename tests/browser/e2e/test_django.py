"""docs/django.md, followed by a stranger: a project of startproject, and what the page tells to write."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from playwright.async_api import Browser

from tests.harness import eventually
from tests.harness.django_stranger import ADMIN, TO_WRITE, Project, commands, files
from tests.harness.server import free_port

from .conftest import count_is, state_is


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("stranger"))
    project.begin()
    return project


@pytest.fixture
def site(project: Project) -> Iterator[str]:
    """The address of the project that the page makes, served as the page says."""
    project.write(files("project"))
    (_, *migrate), (_, *serve) = commands()
    project.run(*migrate, "--verbosity", "0")
    project.run("manage.py", "createsuperuser", "--noinput")
    port = free_port()
    process = project.start(*serve, "--noreload", str(port))
    yield f"http://127.0.0.1:{port}"
    process.send_signal(signal.SIGTERM)
    process.wait(30)


def test_a_stranger_writes_little() -> None:
    lines = [line for part in files("project") for line in part.text.splitlines() if line.strip()]
    assert len(lines) <= TO_WRITE
    assert [words[1:3] for words in commands()] == [["manage.py", "migrate"], ["manage.py", "runserver"]]


@pytest.mark.asyncio(loop_scope="session")
async def test_a_project_of_the_page(site: str, project: Project, browser: Browser) -> None:
    """Login, a transaction that is rolled back, a bell at 1, logout; and Django complains about nothing."""
    context = await browser.new_context()
    page = await context.new_page()
    await eventually(lambda: project.answers(site), within=60)
    await page.goto(f"{site}/admin/login/?next=/")
    await page.fill("#id_username", ADMIN["DJANGO_SUPERUSER_USERNAME"])
    await page.fill("#id_password", ADMIN["DJANGO_SUPERUSER_PASSWORD"])
    await page.click("input[type=submit]")
    await state_is(page, "live")
    assert (await context.request.get(f"{site}/ship/101")).status == 404
    assert (await context.request.get(f"{site}/ship/7")).status == 200
    await count_is(page, 1)
    assert await page.title() == "(1) Shop"

    operator = await context.request.get(f"{site}/pns/operator")
    assert operator.status == 200
    other = await context.new_page()
    await other.goto(f"{site}/admin/")
    await other.click("#logout-form button")
    await state_is(page, "logged-out")
    assert (await context.request.get(f"{site}/pns/operator")).status == 404
    await context.close()
    log = project.log.read_text()
    assert "System check identified no issues (0 silenced)" in log, log
    assert "Traceback" not in log, log
