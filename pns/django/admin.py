"""Django's admin leads to the operator's page of PNS."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpResponseRedirect

from pns.django.bell import address
from pns.django.login import is_operator
from pns.django.models import Inbox


@admin.register(Inbox)
class InboxAdmin(admin.ModelAdmin):  # type: ignore[misc]
    """An entry in the index, for operators. PNS asks again whether the user is an operator."""

    def has_module_permission(self, request: Any) -> bool:
        return is_operator(request.user)

    def has_view_permission(self, request: Any, obj: Any = None) -> bool:
        return is_operator(request.user)

    def has_add_permission(self, request: Any) -> bool:
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def changelist_view(self, request: Any, extra_context: Any = None) -> HttpResponseRedirect:
        """To the page. It is PNS's own, and refuses whoever is no operator."""
        return HttpResponseRedirect(f"{address()}/operator")
