"""`{% load pns %}{% pns_bell %}`: the bell of docs/bell.md, with the address of PNS and the page's nonce."""

from __future__ import annotations

from typing import Any

from django import template
from django.utils.safestring import SafeString

from pns.django.bell import bell
from pns.errors import SettingsError

register = template.Library()


@register.simple_tag(takes_context=True)  # type: ignore[untyped-decorator]
def pns_bell(context: Any, **attributes: Any) -> SafeString:
    """The bell. Attributes are those of docs/bell.md, with "_" for "-": `{% pns_bell title_badge=True %}`."""
    try:
        return bell(context.get("request"), attributes, nonce=context.get("csp_nonce"))
    except (ValueError, SettingsError) as error:
        raise template.TemplateSyntaxError(str(error)) from None
