"""`manage.py pns_forward`: takes the committed rows of `pns_outgoing` to PNS, as `pns forward` does."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS

from pns.django.configuration import Beside, Embedded, configuration
from pns.django.tables import engine
from pns.errors import PNSError, SettingsError
from pns.library.forwarding import forward

_BY_ITSELF = (
    'PNS has "store": the server of this project forwards by itself, as long as it runs; '
    "give --url and --key for another PNS"
)


class Command(BaseCommand):  # type: ignore[misc]
    """Exit codes: 0 after SIGTERM or Ctrl-C, 1 failed, 2 wrong use."""

    help = (
        "Take committed notifications of the table pns_outgoing to PNS, until SIGTERM or Ctrl-C. "
        "A row that PNS refuses stays, with the reason in its column problem."
    )

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--url", help='Where PNS is. Default: PNS["url"] of the settings.')
        parser.add_argument("--key", help='An API key. Default: PNS["key"] of the settings.')
        parser.add_argument("--database", help='The database. Default: PNS["database"], or default.')

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            form = configuration()
        except SettingsError as error:
            raise CommandError(str(error), returncode=2) from None
        url, key = (_chosen(name, options, form) for name in ("url", "key"))
        database = engine(options["database"] or (form.database if form else DEFAULT_DB_ALIAS))
        try:
            forward(database, url=url, key=key, tell=self.stderr.write)
        except PNSError as error:
            raise CommandError(str(error), returncode=2 if isinstance(error, SettingsError) else 1) from None
        finally:
            database.dispose()


def _chosen(name: str, options: dict[str, Any], form: Embedded | Beside | None) -> str:
    found = options[name] or (form._asdict().get(name) if isinstance(form, Beside) else None)
    found = found or getattr(settings, f"PNS_{name.upper()}", "")
    if found:
        return str(found)
    if isinstance(form, Embedded):
        raise CommandError(_BY_ITSELF, returncode=2)
    remedy = f'give --{name}, or set PNS = {{"url": …, "key": …}} or PNS_{name.upper()} in the settings'
    raise CommandError(remedy, returncode=2)
