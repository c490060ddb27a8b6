"""Django in this process. Its settings are one for all tests: Django is configured once."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import django
from django.conf import settings
from django.db import connections

DATABASES: dict[str, dict[str, Any]] = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
}
APPS = ("contenttypes", "auth", "sessions", "messages", "admin")
PROCESSORS = ("template.context_processors.request", "contrib.auth.context_processors.auth")


def set_up(databases: dict[str, dict[str, Any]] | None = None) -> None:
    """Configure Django, on `databases` from now on if there are any. Safe to call again."""
    if not settings.configured:
        settings.configure(
            SECRET_KEY="for a test",
            ALLOWED_HOSTS=["*"],
            DATABASES=DATABASES,
            INSTALLED_APPS=[*(f"django.contrib.{name}" for name in APPS), "pns.django"],
            MIDDLEWARE=[
                "django.contrib.sessions.middleware.SessionMiddleware",
                "django.middleware.csrf.CsrfViewMiddleware",
                "django.contrib.auth.middleware.AuthenticationMiddleware",
                "django.contrib.messages.middleware.MessageMiddleware",
            ],
            PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
            ROOT_URLCONF="tests.harness.django_urls",
            TEMPLATES=[
                {
                    "BACKEND": "django.template.backends.django.DjangoTemplates",
                    "APP_DIRS": True,
                    "OPTIONS": {
                        "context_processors": [
                            *(f"django.{name}" for name in PROCESSORS),
                            "django.contrib.messages.context_processors.messages",
                        ]
                    },
                }
            ],
            USE_TZ=True,
        )
        django.setup()
    if databases is not None:
        connections.close_all()
        for alias in DATABASES:
            with suppress(AttributeError):
                del connections[alias]
        DATABASES.clear()
        DATABASES.update(databases)
        vars(connections).pop("settings", None)  # what Django has made of the former ones
