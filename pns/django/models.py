"""The permission for the operator's page, `pns.operate`, and the name of the page in Django's admin."""

from __future__ import annotations

from django.db import models


class Inbox(models.Model):  # type: ignore[misc]
    """The inboxes of PNS, which Django does not keep."""

    class Meta:
        app_label = "pns"
        managed = False
        default_permissions = ()
        permissions = (("operate", "Can use the operator's page of PNS"),)
        verbose_name = "inbox"
        verbose_name_plural = "inboxes"
