"""`pns.flask`: PNS's question, the logout, and notify, by real requests over a line that takes notes."""

from __future__ import annotations

import json
from typing import Any

import flask
import flask_login
import httpx2 as httpx
import pytest
from flask_wtf.csrf import CSRFProtect

from pns import Notification
from pns.errors import Invalid, PNSError, SettingsError
from pns.flask import Inboxes

SETTINGS = {"PNS_URL": "http://pns.test/pns", "PNS_KEY": "a-key", "SECRET_KEY": "for a test"}


class Site:
    """An application with Flask-Login and Flask-WTF, and the requests that PNS got."""

    def __init__(self, *, status: int = 202, csrf_first: bool = True) -> None:
        self.app = flask.Flask("shop")
        self.app.config.update(SETTINGS)
        flask_login.LoginManager(self.app).user_loader(self._user)
        self.status = status
        self.asked: list[httpx.Request] = []
        if csrf_first:
            CSRFProtect(self.app)
        self.inboxes = Inboxes()
        self.inboxes.init_app(self.app)
        if not csrf_first:
            CSRFProtect(self.app)
        line: Any = self.inboxes._line
        transport = httpx.MockTransport(self._answer)
        line._http = httpx.Client(transport=transport, headers=line._http.headers)
        self.app.add_url_rule("/login/<name>", view_func=self.login)
        self.app.add_url_rule("/logout", view_func=self.logout)
        self.app.add_url_rule("/order", view_func=lambda: "ordered", methods=["POST"])

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if self.status == 0:
            raise httpx.ConnectError("nobody is there")
        self.asked.append(request)
        return httpx.Response(self.status, json={})

    @staticmethod
    def _user(name: str) -> Any:
        user = flask_login.UserMixin()
        user.id = name
        return user

    def login(self, name: str) -> str:
        flask_login.login_user(self._user(name))
        return "in"

    def logout(self) -> str:
        flask_login.logout_user()
        assert not self.asked, "before the browser has heard of the logout"
        return "out"


@pytest.mark.parametrize("csrf_first", [True, False])
def test_pns_asks_who_is_logged_in(csrf_first: bool) -> None:
    site = Site(csrf_first=csrf_first)
    client = site.app.test_client()
    assert client.post("/pns-auth").status_code == 401
    client.get("/login/ann")
    for question in (client.post, client.get):
        answer = question("/pns-auth")
        assert (answer.status_code, answer.json) == (200, {"user_id": "ann"})
    assert client.post("/order").status_code == 400  # everything else keeps its protection


@pytest.mark.parametrize(("user", "path"), [("a/b", "a%2Fb"), ("é", "%C3%A9"), ("42", "42")])
def test_a_logout_ends_the_connections_when_it_is_answered(user: str, path: str) -> None:
    site = Site()
    client = site.app.test_client()
    client.get("/logout", buffered=True)
    assert site.asked == []
    with client.session_transaction() as session:
        session["_user_id"] = user
    assert client.get("/logout", buffered=True).text == "out"
    (asked,) = site.asked
    assert (asked.method, asked.url.raw_path.decode()) == ("DELETE", f"/pns/users/{path}/connections")
    assert asked.headers["authorization"] == "Bearer a-key"


@pytest.mark.parametrize("status", [0, 500, 401])
def test_a_logout_does_not_fail_for_pns(status: int, caplog: pytest.LogCaptureFixture) -> None:
    site = Site(status=status)
    client = site.app.test_client()
    client.get("/login/ann")
    assert client.get("/logout", buffered=True).status_code == 200
    assert client.post("/pns-auth").status_code == 401
    assert "the connections of user ann are not ended" in caplog.text


def test_another_login_than_flask_login() -> None:
    app = flask.Flask("shop")
    app.config.update(SETTINGS, PNS_AUTH_PATH="/who")
    Inboxes(app, user=lambda: flask.session.get("user"))
    client = app.test_client()
    assert client.post("/who").status_code == 401
    with client.session_transaction() as session:
        session["user"] = 42
    assert client.post("/who").json == {"user_id": "42"}


def test_notify_and_erase() -> None:
    site = Site(status=200)
    made = site.inboxes.notify(42, [{"title": "One"}, Notification("Two", "two", category="orders")])
    assert made[1] == "two"
    (asked,) = site.asked
    assert json.loads(asked.content) == {
        "user_id": "42",
        "notifications": [
            {"notification_data": '{"title":"One"}', "notification_id": made[0]},
            {"notification_data": "Two", "notification_id": "two", "category": "orders"},
        ],
    }
    assert site.inboxes.notify("42", []) == []
    site.inboxes.disconnect("42", "d1")  # outside a request, at once
    site.inboxes.erase("42")
    assert [(one.method, one.url.raw_path) for one in site.asked[1:]] == [
        ("DELETE", b"/pns/users/42/connections?device_id=d1"),
        ("DELETE", b"/pns/users/42"),
    ]


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(SettingsError, match=r"PNS_URL is missing: set app.config\['PNS_URL'\]"):
        Inboxes(flask.Flask("shop"))
    with pytest.raises(SettingsError, match=r"call init_app\(app\) first"):
        Inboxes().notify("42", "x")
    site = Site(status=503)
    with pytest.raises(PNSError, match="answered 503"):
        site.inboxes.notify("42", "x")
    with pytest.raises(Invalid):
        site.inboxes.notify("", "x")
    with pytest.raises(TypeError, match="user_id"):
        site.inboxes.notify(1.5, "x")  # type: ignore[arg-type]
