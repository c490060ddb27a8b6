"""The demo application's logins: signed session cookies and their users.

The cookie names a session of this process, so a logout ends the session wherever the cookie went. PNS knows
nothing of these sessions: this separation is the point of the demo.
"""

from __future__ import annotations

import secrets

from itsdangerous import BadSignature, URLSafeSerializer
from starlette.requests import HTTPConnection

MAX_AGE_SECONDS = 86_400
OPERATORS = {"alice"}


class Sessions:
    """The sessions of a single run of the demo; a restart ends all sessions."""

    def __init__(self, port: int) -> None:
        # Cookies do not know ports: two demos on the same machine must not log each other out.
        self.cookie_name = f"demo_session_{port}"
        self._serializer = URLSafeSerializer(secrets.token_bytes(32), salt="demo session")
        self._users: dict[str, str] = {}

    def begin(self, user_id: str) -> str:
        """Log `user_id` in; returns the cookie's value."""
        session = secrets.token_urlsafe(16)
        self._users[session] = user_id
        return str(self._serializer.dumps(session))

    async def user(self, request: HTTPConnection) -> str | None:
        """The logged-in user, or None. An embedded PNS takes this method as `user=`."""
        return self._users.get(self._session(request))

    async def operator(self, request: HTTPConnection) -> bool:
        """Whether the logged-in user is an operator. An embedded PNS takes this method as `operator=`."""
        return await self.user(request) in OPERATORS

    def end(self, request: HTTPConnection) -> str | None:
        """Log out; returns the user of the session."""
        return self._users.pop(self._session(request), None)

    def end_others(self, request: HTTPConnection) -> str | None:
        """Log the same user out everywhere else; returns the user, or None when nobody is logged in here."""
        here = self._session(request)
        user_id = self._users.get(here)
        for session in [each for each, user in self._users.items() if user == user_id and each != here]:
            del self._users[session]
        return user_id

    def _session(self, request: HTTPConnection) -> str:
        try:
            return str(self._serializer.loads(request.cookies.get(self.cookie_name, "")))
        except BadSignature:
            return ""
