"""Ending connections and erasing users, by a transaction of Django: done if and when it commits.

The transaction writes a row of `pns_outgoing`. At the commit, PNS is asked at once, and the row goes. Where
PNS is away, or another process is the server, the row stays, and the forwarder does it later. No trouble with
PNS or with the table ever reaches the request: the log has it.
"""

from __future__ import annotations

import logging
from functools import partial
from time import time_ns

from django.apps import apps
from django.db import DatabaseError, connections, transaction

from pns.django.configuration import configuration
from pns.django.line import Line
from pns.django.writing import delete_row, delete_rows, insert
from pns.errors import PNSError
from pns.model.device import UserId, parse_user_id
from pns.model.outgoing import Disconnect, Erase, Errand, NewRow, errand_row

log = logging.getLogger(__name__)

_NO_TABLE = "PNS: %s of user %s cannot be written down: %s. Has `manage.py migrate pns` run on %r?"
_LATER = "PNS: %s of user %s is left to the forwarder: %s"
_LOST = "PNS: %s of user %s is not done: %s"


def disconnect(user_id: UserId, device_id: str | None = None, *, using: str) -> None:
    """End the user's connections, or those of a device, when the transaction of `using` commits."""
    _at_commit(user_id, Disconnect(device_id), using=using)


def erase(user_id: UserId, *, using: str) -> None:
    """Erase the user in PNS when the transaction of `using` commits. Rows that wait for the user go, too."""
    _at_commit(user_id, Erase(), using=using)


def _at_commit(user_id: UserId, wanted: Errand, *, using: str) -> None:
    try:
        form, user = configuration(), parse_user_id(user_id)
    except (PNSError, ValueError) as error:
        log.error(_LOST, _name(wanted), "?", error)
        return
    if form is not None:
        row = errand_row(user, wanted, now=time_ns() // 1000)
        # A transaction of another database cannot hold the row.
        written = using == form.database and _write(row, wanted, using=using)
        do = partial(_do, row, wanted, database=form.database, written=written)
        transaction.on_commit(do, using=using)


def _write(row: NewRow, wanted: Errand, *, using: str) -> bool:
    """Write the row, and take back what the user shall not get any more. Trouble is logged."""
    try:
        with transaction.atomic(using=using):
            if isinstance(wanted, Erase):
                delete_rows(connections[using], row.user_id)
            insert(connections[using], [row])
    except DatabaseError as error:
        log.warning(_NO_TABLE, _name(wanted), row.user_id, error, using)
        return False
    return True


def _do(row: NewRow, wanted: Errand, *, database: str, written: bool) -> None:
    try:
        line: Line = apps.get_app_config("pns").line()
        line.run_errand(row.user_id, wanted)
    except Exception as error:
        # Whatever it is: the request has done its work, and must not fail for it.
        if not written:
            written = _write(row, wanted, using=database)
        log.warning(_LATER if written else _LOST, _name(wanted), row.user_id, error)
        return
    if written:
        _forget(row, database=database)


def _forget(row: NewRow, *, database: str) -> None:
    try:
        delete_row(connections[database], row)
    except DatabaseError:
        # The forwarder does it a second time, which changes nothing.
        log.warning("PNS: a row of pns_outgoing stays that is done already", exc_info=True)


def _name(wanted: Errand) -> str:
    return "the erasure" if isinstance(wanted, Erase) else "the end of the connections"
