"""The notifications of the form: a text, many texts, a group of likes, a question with buttons."""

from __future__ import annotations

import json
from typing import Any, NamedTuple
from uuid import uuid4

from pns.model.notification import Notification

MANY = 50
LIKED_AT_ONCE = 3
LIKERS = ("Ann", "Ben", "Chen", "Dana", "Emil", "Fatima", "Goran", "Hana", "Ines", "Jonas", "Kaya", "Luis")
INVITED = "invitation-"
"""How the ids of questions begin."""


class Declared(NamedTuple):
    """A category of the demo, as the preferences show it."""

    title: str
    description: str
    defaults: dict[str, bool]
    required: tuple[str, ...] = ()


CATEGORIES = {
    "comments": Declared("Comments", "Somebody answers you, or likes what you wrote.", {}),
    "orders": Declared("Orders", "Where your parcel is.", {"push": False}),
    "security": Declared("Security", "New sign-ins. They are always told.", {}, ("inbox", "push")),
}


def written(form: dict[str, str]) -> list[Notification]:
    """The notifications of the form: a single notification, or many with numbers."""
    times = MANY if form.get("times") == "many" else 1
    numbers = [f" {number}" if times > 1 else "" for number in range(1, times + 1)]
    said = {"body": form["body"]} if form.get("body") else {}
    category = {"category": form["category"]} if form.get("category") in CATEGORIES else {}
    return [_item({"title": form["title"] + number, **said}, **category) for number in numbers]


def likes(before: int) -> list[Notification]:
    """More likes of the report, after `before` likes. Each like replaces the last, and joins its group."""
    names = [LIKERS[number % len(LIKERS)] for number in range(before, before + LIKED_AT_ONCE)]
    return [
        _item(
            {"title": f"{name} likes your report", "group_title": "{names} and {others} like your report"},
            category="comments",
            collapse_key="likes:report",
            group={"member": f"user:{name.lower()}", "data": json.dumps({"name": name})},
        )
        for name in names
    ]


def question() -> Notification:
    """An invitation with two buttons, each a POST to this application."""
    name = f"{INVITED}{uuid4().hex}"
    buttons = [
        {"label": label, "url": f"/answers/{name}/{answer}", "method": "POST", "style": style}
        for label, answer, style in (("Accept", "yes", "primary"), ("Decline", "no", "danger"))
    ]
    said = {"title": "Dana invites you to “Autumn retreat”", "body": "Friday to Sunday", "actions": buttons}
    return _item(said, notification_id=name)


def answered(answer: str) -> Notification:
    """The word that replaces an invitation."""
    words = "You are going to “Autumn retreat”" if answer == "yes" else "You declined “Autumn retreat”"
    return _item({"title": words})


def _item(said: dict[str, Any], **members: Any) -> Notification:
    return Notification(json.dumps(said, ensure_ascii=False), **members)
