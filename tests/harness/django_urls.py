"""The URLs of the Django project of these tests: a login without a password, a logout, and PNS's question."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth import login, logout
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpResponse
from django.urls import path

from pns.django import pns_auth


def log_in(request: Any, name: str) -> HttpResponse:
    login(request, User.objects.get(username=name), backend="django.contrib.auth.backends.ModelBackend")
    return HttpResponse("in")


def log_out(request: Any) -> HttpResponse:
    logout(request)
    return HttpResponse("out")


def log_out_in_vain(request: Any) -> HttpResponse:
    """A logout whose transaction is rolled back."""
    with transaction.atomic():
        logout(request)
        transaction.set_rollback(True)
    return HttpResponse("in")


urlpatterns = [
    path("admin/", admin.site.urls),
    path("login/<name>", log_in),
    path("logout", log_out),
    path("logout-in-vain", log_out_in_vain),
    path("pns-auth", pns_auth, name="pns-auth"),
]
