"""A Django application behind the pages, with a view that Django guards against foreign forms."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.test import override_settings
from django.urls import path
from django.views.decorators.csrf import ensure_csrf_cookie

from tests.harness.django_project import set_up
from tests.harness.front import TWO_LINES, Front, page

BELL = TWO_LINES.replace("<pns-bell>", '<pns-bell csrf-header="X-CSRFToken">')


class Invitations:
    """Answers below /django/ of `front`; `accepted` has the user of each POST that Django let through."""

    def __init__(self, front: Front) -> None:
        self.accepted: list[str] = []
        self.status = 204
        self._pages = front.answer
        self._policy = front.policy
        set_up()
        views = [path("django/", ensure_csrf_cookie(self._home)), path("django/accept", self._accept)]
        self._urls = type("Urls", (), {"urlpatterns": views})
        self._application = get_wsgi_application()
        front.answer = self._answer  # type: ignore[method-assign]

    def _home(self, request: HttpRequest) -> HttpResponse:
        head = f'<meta name="csrf-token" content="{get_token(request)}">'
        response = HttpResponse(page(BELL, head=head))
        response["content-security-policy"] = self._policy
        return response

    def _accept(self, request: HttpRequest) -> HttpResponse:
        assert request.method == "POST"
        self.accepted.append(request.COOKIES["user"])
        return HttpResponse(status=self.status)

    def _answer(self, target: str, head: str) -> bytes:
        if not target.startswith("/django/"):
            return self._pages(target, head)
        first, *lines = head.split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines if line)
        environ: dict[str, Any] = {
            **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()},
            "REQUEST_METHOD": first.split()[0],
            "PATH_INFO": target,
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "CONTENT_LENGTH": "0",
            "wsgi.url_scheme": "http",
            "wsgi.input": BytesIO(),
        }
        start: list[str] = []

        def started(status: str, fields: list[tuple[str, str]]) -> None:
            start[:] = [
                f"HTTP/1.1 {status}",
                *(f"{name}: {value}" for name, value in fields),
                "connection: close",
            ]

        with override_settings(ROOT_URLCONF=self._urls):
            content = b"".join(self._application(environ, started))
        return "\r\n".join([*start, f"content-length: {len(content)}", "", ""]).encode() + content
