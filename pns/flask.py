"""PNS beside a Flask application: the view that PNS asks, the logout of Flask-Login, and notify.

    inboxes = Inboxes(app)            # or init_app(app); PNS_URL and PNS_KEY in app.config
    inboxes.notify("42", "Order shipped")

Inside a transaction take `pns.transactional.sqlalchemy`, with Flask-SQLAlchemy's `db.session` as well.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from flask import Flask, after_this_request, has_request_context

from pns.errors import PNSError, SettingsError
from pns.library.line import HTTPLine
from pns.model.device import UserId, parse_user_id
from pns.model.outgoing import Disconnect, Erase, Errand
from pns.model.plain import Notifications

log = logging.getLogger(__name__)

_KEYS = ("PNS_URL", "PNS_KEY")
_NO_KEY = "{name} is missing: set app.config[{name!r}], before init_app"
_NO_LOGIN = "install flask-login, or say who is logged in: Inboxes(app, user=lambda: session.get('user_id'))"


class Inboxes:
    """The inboxes of an application's users, kept by the PNS at PNS_URL.

    `user`: returns the id of the user of the current request, or None. Without `user`, Flask-Login is asked.
    The view is at PNS_AUTH_PATH, "/pns-auth" by default, and is exempt from Flask-WTF's protection.
    """

    def __init__(self, app: Flask | None = None, *, user: Callable[[], object] | None = None) -> None:
        self._user = user or _of_flask_login
        self._is_flask_login = user is None
        self._line: HTTPLine | None = None
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Add the view, and hear the logouts. Raises SettingsError."""
        for name in _KEYS:
            if not app.config.get(name):
                raise SettingsError(_NO_KEY.format(name=name))
        self._line = HTTPLine(app.config["PNS_URL"], key=app.config["PNS_KEY"])
        app.extensions["pns"] = self
        path = app.config.setdefault("PNS_AUTH_PATH", "/pns-auth")
        app.add_url_rule(path, "pns_auth", self.pns_auth, methods=["POST", "GET"])
        # Before the protection of Flask-WTF, which may come later than this application's init_app.
        app.before_request_funcs.setdefault(None, []).insert(0, lambda: _exempt(app))
        if self._is_flask_login:
            _hear_logouts(app, self._logged_out)

    def pns_auth(self) -> tuple[dict[str, object], int]:
        """The answer to PNS: 200 with the user's id, or 401."""
        user = self._user()
        return ({}, 401) if user is None else ({"user_id": parse_user_id(user)}, 200)

    def notify(self, user_id: UserId, notifications: Notifications) -> list[str]:
        """Notify a user at once; returns the ids when they are on disk. Raises PNSError; repeat with ids of
        your own.
        """
        return self._ready.notify(user_id, notifications)

    def disconnect(self, user_id: UserId, device_id: str | None = None) -> None:
        """End the user's connections, or a device's, when the response of the request is sent.

        Flask's session is the cookie itself: a page that asks before the browser has the new cookie would be
        logged in again. Trouble is logged. Outside a request, at once.
        """
        self._after_response(parse_user_id(user_id), Disconnect(device_id))

    def erase(self, user_id: UserId) -> None:
        """Erase the user in PNS. Raises PNSError."""
        self._ready.run_errand(parse_user_id(user_id), Erase())

    def _logged_out(self, sender: Any, *, user: Any, **more: Any) -> None:
        user_id = user.get_id() if user is not None and user.is_authenticated else None
        if user_id is not None:
            self.disconnect(user_id)

    def _after_response(self, user_id: str, wanted: Errand) -> None:
        if not has_request_context():
            self._run(user_id, wanted)
            return

        @after_this_request
        def later(response: Any) -> Any:
            response.call_on_close(lambda: self._run(user_id, wanted))
            return response

    def _run(self, user_id: str, wanted: Errand) -> None:
        try:
            self._ready.run_errand(user_id, wanted)
        except PNSError as error:
            log.warning("PNS: the connections of user %s are not ended: %s", user_id, error)

    @property
    def _ready(self) -> HTTPLine:
        if self._line is None:
            raise SettingsError("call init_app(app) first")
        return self._line


def _of_flask_login() -> object:
    from flask_login import current_user

    return current_user.get_id() if current_user.is_authenticated else None


def _hear_logouts(app: Flask, heard: Callable[..., None]) -> None:
    try:
        from flask_login import user_logged_out
    except ImportError:
        raise SettingsError(_NO_LOGIN) from None
    user_logged_out.connect(heard, app)


def _exempt(app: Flask) -> None:
    """PNS has no token against forged requests, and its question changes nothing."""
    csrf = app.extensions.get("csrf")
    if csrf is not None:
        csrf.exempt(f"{Inboxes.pns_auth.__module__}.{Inboxes.pns_auth.__name__}")
