"""Whose request is it? The answer of a Django project to PNS, by HTTP or in the same process.

No answer extends a session, and none changes a session's key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from pns.django import sessions

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

_LOGIN = "login"
OPERATE = "pns.operate"
"""The permission for the operator's page."""


@csrf_exempt  # type: ignore[untyped-decorator]
def pns_auth(request: HttpRequest) -> HttpResponse:
    """The view that PNS asks for the user of a browser: 200 with `user_id`, or 401.

    The view runs behind the project's own middleware, so `request.user` is whatever the project says.
    """
    session = getattr(request, "session", None)
    key = getattr(session, "session_key", None)
    if session is not None:
        request.session = sessions.unchanged(key)
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return JsonResponse({}, status=401)
    if request.headers.get("x-pns-question", _LOGIN) == _LOGIN:
        sessions.remember(key, request.headers.get("x-pns-device-id", ""))
    answer = {"user_id": user.pk}
    return JsonResponse({**answer, "operator": True} if is_operator(user) else answer)


# LoginRequiredMiddleware of Django 5.1 would send PNS to a form.
pns_auth.login_required = False


def is_operator(user: Any) -> bool:
    """Whether the user may use the operator's page: staff with the permission `pns.operate`."""
    return bool(getattr(user, "is_staff", False) and user.has_perm(OPERATE))


def user_of(request: HTTPConnection) -> object:
    """The function `user=` of an embedded PNS: the user of the session cookie. Runs in a thread."""
    user = _logged_in(request)
    if user.pk is not None and request.headers.get("x-pns-question", _LOGIN) == _LOGIN:
        key = request.cookies.get(settings.SESSION_COOKIE_NAME)
        sessions.remember(key, request.headers.get("x-pns-device-id", ""))
    return user.pk


def operator_of(request: HTTPConnection) -> bool:
    """The function `operator=` of an embedded PNS. Runs in a thread."""
    return is_operator(_logged_in(request))


def _logged_in(request: HTTPConnection) -> Any:
    from django.contrib.auth import get_user
    from django.db import close_old_connections

    close_old_connections()
    try:
        asked = HttpRequest()
        asked.session = sessions.unchanged(request.cookies.get(settings.SESSION_COOKIE_NAME))
        return get_user(asked)
    finally:
        close_old_connections()
