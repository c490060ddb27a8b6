"""The applications of docs/login.md, each in a process of its own, with what a page leaves to its reader."""

from __future__ import annotations

import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from tests.harness.running import running as program
from tests.harness.server import API_KEY, free_port

from .pages import PAGES, snippets

HERE = Path(__file__).parent
(_PAGE,) = [path for path in PAGES if path.name == "login.md"]

_FLASK = """

csrf.exempt(login)  # a form has a token
csrf.exempt(logout)
"""
_RAILS = """
require "action_controller/railtie"
require "logger"

class Shop < Rails::Application
  config.load_defaults 6.1
  config.eager_load = false
  config.secret_key_base = "change me"
  config.hosts.clear
  config.logger = Logger.new($stdout)
end

Shop.initialize!
require_relative "app"
SessionsController.class_eval { skip_forgery_protection only: %i[login logout] }
Shop.routes.draw do
  post "/pns-auth", to: "sessions#pns_auth"
  post "/login/:user_id", to: "sessions#login"
  post "/logout", to: "sessions#logout"
end
run Shop
"""
_DJANGO = {
    "shop/__init__.py": "",
    "shop/settings.py": """
SECRET_KEY = "change me"
ALLOWED_HOSTS = ["*"]
USE_TZ = True
DEBUG = True
ROOT_URLCONF = "shop.urls"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "django.db", "ATOMIC_REQUESTS": True}
}
WSGI_APPLICATION = "shop.wsgi.application"
""",
    "shop/wsgi.py": """
import os
from django.core.wsgi import get_wsgi_application
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
application = get_wsgi_application()
""",
    "shop/urls.py": """
from django.contrib.auth import login, logout
from django.contrib.auth.models import User
from django.http import JsonResponse
from django.urls import path

from shop.push import pns

def log_in(request, user_id):
    login(request, User.objects.get(pk=user_id))
    return JsonResponse({})

def log_out(request):
    logout(request)
    return JsonResponse({})

def ship(request, user_id):
    return JsonResponse({"ids": pns.notify_sync(user_id, "Order shipped")})

urlpatterns = [path("login/<str:user_id>", log_in), path("logout", log_out), path("ship/<str:user_id>", ship)]
""",
    "users.py": """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "shop.settings"
import django
django.setup()
from django.contrib.auth.models import User
from django.core.management import call_command
call_command("migrate", verbosity=0)
User.objects.create_user("ann", pk=42)
""",
}
_ASGI = "python -m uvicorn main:app --port {port}"
COMMANDS = {
    "flask": "python -m flask --app main run --port {port}",
    "inboxes": "python -m flask --app main run --port {port}",
    "django": "python users.py && exec python -m uvicorn shop.asgi:application --port {port}",
    "starlette": _ASGI,
    "fastapi": _ASGI,
    "express": "node main.mjs",
    "rails": "puma --silent --bind tcp://127.0.0.1:{port} config.ru",
}
"""What serves each of the applications."""
RUNSERVER = (
    "python users.py && export DJANGO_SETTINGS_MODULE=shop.settings PYTHONPATH=$PWD"
    " && exec python -m django runserver --noreload {port}"
)
SERVICES = ("flask", "inboxes", "express", "rails")
"""Those that have PNS beside them; the others have it inside."""
COOKIE_SESSIONS = ("flask", "inboxes", "starlette", "rails")
"""Those whose session is the cookie itself: a copy of the cookie stays good after a logout."""


def write(name: str, folder: Path) -> None:
    """Put the application `name` of the page into `folder`, whole."""
    files = {one.options["file"]: one.text for one in snippets(_PAGE) if one.options.get("login") == name}
    assert files, f"docs/login.md has no application for {name}"
    if name in ("flask", "inboxes"):
        files["main.py"] += _FLASK
    elif name == "rails":
        files["config.ru"] = _RAILS
    elif name == "django":
        files = _DJANGO | files
        (folder / "shop").mkdir()
    elif name == "express":
        (folder / "node_modules").symlink_to(HERE / "node_modules")
    for path, text in files.items():
        (folder / path).write_text(text)


@asynccontextmanager
async def running(
    command: str, folder: Path, *, port: int | None = None, environment: Mapping[str, str] | None = None
) -> AsyncIterator[str]:
    """The URL of what `command` serves in `folder`, at `{port}`, once it answers."""
    port = port or free_port()
    more = {"PORT": str(port), "PNS_KEY": API_KEY} | dict(environment or {})
    line = command.format(port=port).replace("python ", f"{sys.executable} ")
    url = f"http://127.0.0.1:{port}"
    async with program(["bash", "-ec", line], folder, url, environment=more, end=signal.SIGKILL):
        yield url
