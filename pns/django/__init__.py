"""PNS for Django: the bell in a template, notifications that commit and roll back with your own transaction,
and logins and logouts that PNS follows.

Add "pns.django" to INSTALLED_APPS, write the setting `PNS`, and run `manage.py migrate`: docs/django.md.
"""

from pns.django.embedded import asgi, get_pns
from pns.django.login import pns_auth
from pns.django.tables import engine
from pns.django.writing import anotify, notify

__all__ = ["anotify", "asgi", "engine", "get_pns", "notify", "pns_auth"]
