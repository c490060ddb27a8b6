"""PNS: the notification inbox and live-push server for web applications.

The public names, and nothing else.
"""

from pns.errors import (
    AuthUnavailable,
    Forbidden,
    Invalid,
    NotFound,
    NotificationIdConflict,
    NotStarted,
    Overloaded,
    PNSError,
    Problem,
    PublicationConflict,
    SchemaError,
    SettingsError,
    StoreUnavailable,
    Unauthorized,
)
from pns.library import PNS
from pns.model.device import Registration
from pns.model.notification import Notification
from pns.model.push import APNsControls, FCMControls, MQTTControls, PushControls, WebPushControls
from pns.settings import Settings

__version__ = "0.2.0"

__all__ = [
    "PNS",
    "APNsControls",
    "AuthUnavailable",
    "FCMControls",
    "Forbidden",
    "Invalid",
    "MQTTControls",
    "NotFound",
    "NotStarted",
    "Notification",
    "NotificationIdConflict",
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
    "WebPushControls",
    "__version__",
]
