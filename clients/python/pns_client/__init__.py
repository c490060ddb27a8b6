"""The application's side of PNS, sync and async: notify, marks, preferences, topics, buckets, publications.

`PNS` and `AsyncPNS` have the same methods. The package needs no server; that is the distribution
`pns-server`.
"""

import os
from pathlib import Path

from pns_client._async import AsyncPNS
from pns_client._sync import PNS
from pns_client.errors import (
    BadJSON,
    BadSignature,
    CategoryRequired,
    Draining,
    FieldError,
    InternalError,
    Invalid,
    NotFound,
    NotificationIdConflict,
    NotificationNotKept,
    Overloaded,
    PNSError,
    Problem,
    PublicationConflict,
    RateLimited,
    StoreUnavailable,
    TooLarge,
    Unauthorized,
    UnknownCategory,
    Unreachable,
)
from pns_client.webhooks import verify_webhook

__version__ = "0.5.0"

__all__ = [
    "PNS",
    "AsyncPNS",
    "BadJSON",
    "BadSignature",
    "CategoryRequired",
    "Draining",
    "FieldError",
    "InternalError",
    "Invalid",
    "NotFound",
    "NotificationIdConflict",
    "NotificationNotKept",
    "Overloaded",
    "PNSError",
    "Problem",
    "PublicationConflict",
    "RateLimited",
    "StoreUnavailable",
    "TooLarge",
    "Unauthorized",
    "UnknownCategory",
    "Unreachable",
    "verify_webhook",
]


def _refuse_another(folder: Path) -> None:
    """Raise ImportError where another project's `pns` lies over the files of PNS's server."""
    names = os.listdir(folder)
    if any(name.startswith("pns_server-") for name in names) and any(
        name.startswith("pns-") for name in names
    ):
        raise ImportError(
            f"The distribution `pns` in {folder} is not PNS and has files of the same names: run "
            "`pip uninstall --yes pns`, then `pip install --force-reinstall --no-deps pns-server`."
        )


_refuse_another(Path(__file__).parents[1])
