"""Django's own signals, heard for PNS: a logout, a deleted user, a changed password, a user who is locked.

Receivers only take notes; errands.py does the rest when the transaction commits.
"""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS
from django.db.models.signals import post_delete, post_save, pre_save

from pns.django import errands, sessions

_WATCHED = ("password", "is_active")
"""The fields of a user of which a change ends logins."""
_CHANGED = "_pns_login_changed"


def connect() -> None:
    """Hear the signals of the project's users."""
    from django.contrib.auth import get_user_model
    from django.contrib.auth.signals import user_logged_out

    user_logged_out.connect(logged_out, dispatch_uid="pns")
    # By sender: a receiver for every model would slow every delete of the project down.
    for model in apps.get_models():
        if issubclass(model, get_user_model()):
            pre_save.connect(before_save, sender=model, dispatch_uid="pns")
            post_save.connect(after_save, sender=model, dispatch_uid="pns")
            post_delete.connect(deleted, sender=model, dispatch_uid="pns")


def logged_out(sender: Any, *, request: Any, user: Any, **more: Any) -> None:
    """End the connections of the browser. All connections of the user, where PNS has named no device."""
    if user is None or user.pk is None:
        return
    session = getattr(request, "session", None)
    devices: list[str | None] = [*sessions.forget(getattr(session, "session_key", None))]
    for device_id in devices or [None]:
        errands.disconnect(user.pk, device_id, using=user._state.db or DEFAULT_DB_ALIAS)


def before_save(
    sender: Any, *, instance: Any, using: str, raw: bool = False, update_fields: Any = None, **more: Any
) -> None:
    """Note whether the login changes. Costs a query, unless `update_fields` says enough."""
    fields = [name for name in _WATCHED if update_fields is None or name in update_fields]
    if raw or instance._state.adding or instance.pk is None or not fields:
        return
    known = {field.attname for field in instance._meta.concrete_fields}
    wanted = [name for name in fields if name in known]
    before = sender._base_manager.using(using).filter(pk=instance.pk).values_list(*wanted).first()
    now = tuple(getattr(instance, name) for name in wanted)
    vars(instance)[_CHANGED] = before is not None and before != now


def after_save(sender: Any, *, instance: Any, using: str, **more: Any) -> None:
    """End all connections of a user whose login has changed: each is asked about again."""
    if vars(instance).pop(_CHANGED, False):
        errands.disconnect(instance.pk, using=using)


def deleted(sender: Any, *, instance: Any, using: str, **more: Any) -> None:
    """Erase the user in PNS."""
    errands.erase(instance.pk, using=using)
