"""`manage.py pns_doctor`: the system checks of "pns.django", the table, and a PNS beside the project."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from django.core.checks import run_checks
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connections

from pns.django.checks import TAG
from pns.django.configuration import Beside, Embedded, required
from pns.django.line import HTTPLine
from pns.errors import PNSError, SettingsError

_FAILED = "SELECT problem FROM pns_outgoing WHERE failed_at IS NOT NULL ORDER BY failed_at DESC, id LIMIT 1"
_COUNTS = "SELECT count(*), count(failed_at) FROM pns_outgoing"


class Finding(NamedTuple):
    """A line of the report. `remedy`: empty where all is well."""

    told: str
    remedy: str = ""


class Command(BaseCommand):  # type: ignore[misc]
    """Exit codes: 0 all is well, 1 something is not."""

    help = "Look for what keeps PNS from working in this project, and name the remedy of each fault."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        faults = 0
        for finding in _findings():
            faults += bool(finding.remedy)
            self.stdout.write(f"{'wrong' if finding.remedy else 'ok   '}  {finding.told}")
            if finding.remedy:
                self.stdout.write(f"       {finding.remedy}")
        if faults:
            raise CommandError(f"{faults} to mend", returncode=1)


def _findings() -> Iterator[Finding]:
    try:
        form = required()
    except SettingsError as error:
        yield Finding("the setting PNS", str(error))
        return
    where = f"inside this project, at {form.path}" if isinstance(form, Embedded) else f"at {form.url}"
    yield Finding(f"PNS {where}")
    said = [message for message in run_checks(tags=[TAG]) if not message.is_silenced()]
    yield from (Finding(f"{message.id}: {message.msg}", str(message.hint or message.msg)) for message in said)
    if not said:
        yield Finding("the settings of the project fit")
    yield from _rows(form.database)
    if isinstance(form, Beside):
        yield _answers(form)


def _rows(database: str) -> Iterator[Finding]:
    try:
        with connections[database].cursor() as cursor:
            cursor.execute(_COUNTS)
            kept, failed = cursor.fetchone()
            cursor.execute(_FAILED)
            (problem,) = cursor.fetchone() or ("",)
    except DatabaseError as error:
        yield Finding(
            f"the table pns_outgoing: {error}", f"run `manage.py migrate pns --database {database}`"
        )
        return
    yield Finding(f"{kept - failed} rows of pns_outgoing wait for the forwarder")
    if failed:
        remedy = "docs/transactions.md says how rows are tried again"
        yield Finding(f"{failed} rows of pns_outgoing were refused, the last by: {problem}", remedy)


def _answers(form: Beside) -> Finding:
    line = HTTPLine(form.url, key=form.key)
    try:
        line.check()
    except PNSError as error:
        return Finding("PNS does not take notifications", str(error))
    finally:
        line.close()
    return Finding("PNS answers, and knows the key")
