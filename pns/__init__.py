"""PNS: the notification inbox and live-push server for web applications.

The public names, and nothing else. A name is loaded at its first use: the commands live in this package too,
and few of them need all of PNS.
"""

from importlib import import_module

import pns.runtime  # noqa: F401  first: it refuses the files of another distribution among these

TYPE_CHECKING = False  # as typing's, which would be the dearest import of this module

if TYPE_CHECKING:
    from pns.errors import (
        AuthUnavailable,
        CategoryRequired,
        Forbidden,
        Invalid,
        NotFound,
        NotificationIdConflict,
        NotificationNotKept,
        NotStarted,
        Overloaded,
        PNSError,
        Problem,
        PublicationConflict,
        SchemaError,
        SettingsError,
        StoreUnavailable,
        Unauthorized,
        UnknownCategory,
    )
    from pns.library import PNS
    from pns.model.device import Registration
    from pns.model.group import GroupMember
    from pns.model.notification import Notification
    from pns.model.push import APNsControls, FCMControls, MQTTControls, PushControls, WebPushControls
    from pns.model.webhook import DeviceRemovedTold, Event, MarkedTold, UnseenTold
    from pns.settings import Settings

__version__ = "0.5.0"

__all__ = [
    "PNS",
    "APNsControls",
    "AuthUnavailable",
    "CategoryRequired",
    "DeviceRemovedTold",
    "Event",
    "FCMControls",
    "Forbidden",
    "GroupMember",
    "Invalid",
    "MQTTControls",
    "MarkedTold",
    "NotFound",
    "NotStarted",
    "Notification",
    "NotificationIdConflict",
    "NotificationNotKept",
    "Overloaded",
    "PNSError",
    "Problem",
    "PublicationConflict",
    "PushControls",
    "Registration",
    "SchemaError",
    "Settings",
    "SettingsError",
    "StoreUnavailable",
    "Unauthorized",
    "UnknownCategory",
    "UnseenTold",
    "WebPushControls",
    "__version__",
]

_HOMES = {
    "pns.library": ("PNS",),
    "pns.errors": (
        "AuthUnavailable",
        "CategoryRequired",
        "Forbidden",
        "Invalid",
        "NotFound",
        "NotificationIdConflict",
        "NotificationNotKept",
        "NotStarted",
        "Overloaded",
        "PNSError",
        "Problem",
        "PublicationConflict",
        "SchemaError",
        "SettingsError",
        "StoreUnavailable",
        "Unauthorized",
        "UnknownCategory",
    ),
    "pns.model.device": ("Registration",),
    "pns.model.group": ("GroupMember",),
    "pns.model.notification": ("Notification",),
    "pns.model.push": ("APNsControls", "FCMControls", "MQTTControls", "PushControls", "WebPushControls"),
    "pns.model.webhook": ("DeviceRemovedTold", "Event", "MarkedTold", "UnseenTold"),
    "pns.settings": ("Settings",),
}
"""Where the public names are defined: as the imports above, which are for tools that read and run nothing."""

if not TYPE_CHECKING:

    def __getattr__(name):
        for home, names in _HOMES.items():
            if name in names:
                found = globals()[name] = getattr(import_module(home), name)
                return found
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__():
        return sorted({*globals(), *__all__})
