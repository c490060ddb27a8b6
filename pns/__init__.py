"""PNS: the notification inbox and live-push server for web applications.

The public names, and nothing else.
"""

from pns.errors import (
    AuthUnavailable,
    Forbidden,
    Invalid,
    NotificationIdConflict,
    NotStarted,
    Overloaded,
    PNSError,
    Problem,
    SchemaError,
    SettingsError,
    StoreUnavailable,
    Unauthorized,
)
from pns.notification import Notification
from pns.ops.embedded import PNS
from pns.settings import Settings

__version__ = "0.1.0"

__all__ = [
    "PNS",
    "AuthUnavailable",
    "Forbidden",
    "Invalid",
    "NotStarted",
    "Notification",
    "NotificationIdConflict",
    "Overloaded",
    "PNSError",
    "Problem",
    "SchemaError",
    "Settings",
    "SettingsError",
    "StoreUnavailable",
    "Unauthorized",
    "__version__",
]
