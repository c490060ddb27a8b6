"""`manage.py pns_notify`: notifies a user, or all active users, by the table `pns_outgoing`."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from pns.django.configuration import required
from pns.django.writing import notify
from pns.errors import PNSError
from pns.model.notification import Notification


class Command(BaseCommand):  # type: ignore[misc]
    """Exit codes: 0 written, 1 there is no such user, 2 wrong use."""

    help = (
        "Notify a user. The forwarder of the server, or pns_forward, takes the notification to PNS. "
        "Prints the notification's id."
    )

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument(
            "data", help='The text, or JSON such as {"title": "Order shipped", "url": "/orders/7"}.'
        )
        who = parser.add_mutually_exclusive_group(required=True)
        who.add_argument("--user", metavar="KEY", help="The user's primary key.")
        who.add_argument("--username", help="The user's name for the login.")
        who.add_argument("--everybody", action="store_true", help="All active users.")
        parser.add_argument("--id", dest="notification_id", help="The notification_id, for safe repeats.")
        parser.add_argument("--category", help="The category.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            form = required()
            wanted = Notification(options["data"], options["notification_id"], category=options["category"])
            made = notify(_users(options), wanted, using=form.database)
        except (PNSError, TypeError) as error:
            raise CommandError(str(error), returncode=2) from None
        self.stdout.write("\n".join(made))


def _users(options: dict[str, Any]) -> Any:
    users = get_user_model()
    if options["everybody"]:
        active = {"is_active": True} if _has_is_active(users) else {}
        return users._default_manager.filter(**active)
    name = options["username"]
    key, wanted = (users.USERNAME_FIELD, name) if name else ("pk", options["user"])
    try:
        return users._default_manager.get(**{key: wanted})
    except (users.DoesNotExist, ValueError):
        raise CommandError(f"there is no user {wanted!r}") from None


def _has_is_active(users: Any) -> bool:
    return any(field.name == "is_active" for field in users._meta.concrete_fields)
