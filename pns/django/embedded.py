"""PNS inside the ASGI server of a Django project, made from the setting `PNS`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from django.apps import apps

from pns.django.configuration import Embedded, required
from pns.errors import SettingsError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from pns.library import PNS
    from pns.library.nudged import Nudged

_SERVICE = 'PNS has "url": this project has no PNS of its own; get_pns() needs PNS = {"store": …}'


def asgi(application: ASGIApp) -> ASGIApp:
    """`application` with PNS at `PNS["path"]`, for asgi.py. PNS lives as long as the server does.

    Where PNS is a service beside the project, this is `application` itself: the line may stay. Raises
    SettingsError.
    """
    form = required()
    if not isinstance(form, Embedded):
        return application
    return get_pns().wrap(application, path=form.path)


def get_pns() -> PNS:
    """The embedded PNS of this process, with all methods of docs/embedding.md. Raises SettingsError."""
    pns: PNS = apps.get_app_config("pns").pns()
    return pns


class Made(NamedTuple):
    """A PNS, and the rows that come into it."""

    pns: PNS
    outgoing: Nudged


def make() -> Made:
    """A PNS from the setting `PNS`. The login is Django's, and the committed rows of pns_outgoing come in."""
    from pns.django.login import operator_of, user_of
    from pns.django.tables import engine
    from pns.library import PNS
    from pns.library.nudged import Nudged

    form = required()
    if not isinstance(form, Embedded):
        raise SettingsError(_SERVICE)
    outgoing = Nudged(engine(form.database))
    told: dict[str, Any] = dict(form.told)
    pns = PNS(
        form.store, user=user_of, operator=operator_of, settings=form.settings, outgoing=outgoing, **told
    )
    return Made(pns, outgoing)
