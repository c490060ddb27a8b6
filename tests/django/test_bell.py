"""`{% pns_bell %}`: the address of PNS, the page's nonce, every attribute of the bell, all of it escaped."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from tests.docs.pages import codes, page, table
from tests.harness.django_project import set_up

set_up()

from django.template import Context, Template, TemplateSyntaxError  # noqa: E402
from django.test import RequestFactory, override_settings  # noqa: E402
from django.urls import set_script_prefix  # noqa: E402
from django.utils.functional import SimpleLazyObject  # noqa: E402
from django.utils.safestring import mark_safe  # noqa: E402

from pns.django.bell import ATTRIBUTES  # noqa: E402

EMBEDDED = {"store": "sqlite:///x.db"}


class Tags(HTMLParser):
    """The tags of a page, as a browser has them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def __getitem__(self, tag: str) -> dict[str, str | None]:
        (found,) = [attributes for name, attributes in self.found if name == tag]
        return found


def rendered(arguments: str = "", pns: Any = EMBEDDED, **context: Any) -> Tags:
    with override_settings(PNS=pns):
        text = Template("{% load pns %}{% pns_bell " + arguments + " %}").render(Context(context))
    return Tags(text)


def service(**more: str) -> dict[str, str]:
    return {"url": "http://127.0.0.1:8080", "key": "a-key", **more}


@pytest.mark.parametrize(
    ("pns", "prefix", "src"),
    [
        (EMBEDDED, "/", "/pns/bell.js"),
        ({**EMBEDDED, "path": "/live/inbox"}, "/", "/live/inbox/bell.js"),
        (EMBEDDED, "/shop/", "/shop/pns/bell.js"),
        (service(), "/shop/", "http://127.0.0.1:8080/bell.js"),
        (service(public_url="https://app.example/pns/"), "/", "https://app.example/pns/bell.js"),
        (service(public_url="/pns"), "/", "/pns/bell.js"),
    ],
)
def test_the_script_comes_from_pns(pns: Any, prefix: str, src: str) -> None:
    set_script_prefix(prefix)
    try:
        tags = rendered(pns=pns)
    finally:
        set_script_prefix("/")
    assert tags.found == [("script", {"type": "module", "src": src}), ("pns-bell", {})]


def test_attributes_are_those_of_the_bell() -> None:
    """The list is the page's, and the page's is the element's."""
    told = {name for row in table("docs/bell.md", "attribute", "does") for name in codes(row.cells[0])}
    assert {*ATTRIBUTES, "text-…"} == told
    watched = re.search(r"observedAttributes = \[(.*?)\]", page("pns/browser/bell.js"))
    assert watched is not None
    assert set(re.findall(r"'([^']+)'", watched[1])) - {"lang"} <= {*ATTRIBUTES}


@pytest.mark.parametrize("name", [*ATTRIBUTES, "text-label-unseen", "lang", "id", "data-x"])
def test_each_attribute_is_written(name: str) -> None:
    argument = f"{name.replace('-', '_')}=value"
    for value, told in (("x", {name: "x"}), (7, {name: "7"}), (True, {name: None}), (False, {}), (None, {})):
        if not (name == "csrf-header" and value is True):
            assert rendered(argument, value=value)["pns-bell"] == told


@pytest.mark.parametrize("value", ['"><script>alert(1)</script>', "'a' & \"b\" <c>", "&quot;", "«ü» {{ x }}"])
def test_values_are_text(value: str) -> None:
    for given in (value, mark_safe(value)):
        tags = rendered("text_label=value tabs=value", value=given)
        assert tags["pns-bell"] == {"text-label": value, "tabs": value}
        assert len(tags.found) == 2
    public = service(public_url="https://app.example/a'b")
    assert rendered(pns=public)["script"]["src"] == "https://app.example/a'b/bell.js"


@pytest.mark.parametrize("wrong", ["colour=1", "onclick='x'", "text_=1", "titel_badge=True", "headers=1"])
def test_an_unknown_attribute_is_named(wrong: str) -> None:
    with pytest.raises(
        TemplateSyntaxError, match=f"no attribute {wrong.partition('=')[0].replace('_', '-')}"
    ):
        rendered(wrong)


def test_without_the_setting_the_page_says_so() -> None:
    with pytest.raises(TemplateSyntaxError, match="PNS is missing in the settings"):
        rendered(pns=None)


class Made(SimpleLazyObject):  # type: ignore[misc]
    """A nonce that is false until it is asked for, as that of django-csp and that of Django 6."""

    def __init__(self) -> None:
        super().__init__(lambda: 'n0"nce')

    def __bool__(self) -> bool:
        return False


@pytest.mark.parametrize("where", ["csp_nonce", "_csp_nonce", "context"])
def test_the_script_has_the_nonce(where: str) -> None:
    request = RequestFactory().get("/")
    if where == "context":
        tags = rendered(request=request, csp_nonce=Made())
    else:
        setattr(request, where, Made())
        tags = rendered(request=request)
    assert tags["script"]["nonce"] == 'n0"nce'


def test_no_policy_no_nonce() -> None:
    assert "nonce" not in rendered(request=RequestFactory().get("/"), csp_nonce=None)["script"]


def test_the_token_of_buttons() -> None:
    request = RequestFactory().get("/")
    tags = rendered("csrf_header=True", request=request)
    assert tags["pns-bell"] == {"csrf-header": "X-CSRFTOKEN"}
    assert tags["meta"]["name"] == "csrf-token"
    assert len(tags["meta"]["content"] or "") > 30
    assert "CSRF_COOKIE" in request.META
    with pytest.raises(TemplateSyntaxError, match="needs the request"):
        rendered("csrf_header=True")
