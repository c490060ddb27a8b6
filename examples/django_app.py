"""Django with PNS inside. Run it with `uvicorn examples.django_app:app`, open http://127.0.0.1:8000.

One file instead of a project; in yours, `pns` stands beside asgi.py and `app` is what asgi.py exports.
"""

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="change me",
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
    ],
)
django.setup()

from django.contrib.sessions.backends.signed_cookies import SessionStore  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect  # noqa: E402
from django.middleware.csrf import get_token  # noqa: E402
from django.urls import path  # noqa: E402
from starlette.requests import HTTPConnection  # noqa: E402

from pns import PNS  # noqa: E402


# PNS sees the request before Django's middleware does, so the session is opened by hand. With sessions in the
# database a plain `def` is right, too: PNS runs it in a thread.
def current_user(request: HTTPConnection) -> str | None:
    return SessionStore(request.cookies.get(settings.SESSION_COOKIE_NAME)).get("user")


pns = PNS("sqlite:///pns.db", user=current_user)

PAGE = """<!doctype html><title>Shop</title><p><b id="count">…</b> unseen</p>
<form method="post" action="/orders"><input type="hidden" name="csrfmiddlewaretoken" value="%s">
<input name="customer" value="bob"><button>Order</button>
<button formaction="/orders-sync">Order from a sync view</button></form>
<script>
  const socket = new WebSocket(location.href.replace(/^http/, "ws") + "pns/subscribe");
  socket.onmessage = ({data}) =>
    document.getElementById("count").textContent = JSON.parse(data).newNotificationCountChanged;
</script>"""


def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(PAGE % get_token(request))


def login(request: HttpRequest, user: str) -> HttpResponse:
    request.session["user"] = user  # a real application asks for a password
    return HttpResponseRedirect("/")


async def order(request: HttpRequest) -> HttpResponse:
    await pns.notify(request.POST["customer"], "Order shipped")
    return HttpResponseRedirect("/")


def order_sync(request: HttpRequest) -> HttpResponse:
    pns.notify_sync(request.POST["customer"], "Order shipped")  # a sync view runs in a thread
    return HttpResponseRedirect("/")


urlpatterns = [
    path("", page),
    path("login/<user>", login),
    path("orders", order),
    path("orders-sync", order_sync),
]

app = pns.wrap(get_asgi_application(), path="/pns")  # Django has no lifespan: wrap starts PNS
