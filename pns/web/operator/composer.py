"""The composer: a notification to a user, a topic or everybody. First a preview, then the act.

The preview makes the id of the act, so a form that is sent twice notifies once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote

import msgspec

from pns.contracts.audiences import EVERYBODY
from pns.contracts.store import Submission
from pns.errors import Invalid
from pns.inbox import audience_names, given
from pns.inbox.publications import ToAll, ToEverybody
from pns.model.notification import Notification, new_notification_id
from pns.node import Node
from pns.web.operator.forms import record

ABOUT = 100_000
"""The preview counts no more users."""
TO = ("user", "topic", "everybody")


class Composed(NamedTuple):
    """A form's notification. `id`: of the notification, or of its publication; "" before the preview."""

    to: str = "user"
    name: str = ""
    title: str = ""
    body: str = ""
    url: str = ""
    category: str = ""
    id: str = ""

    @property
    def notification(self) -> Notification:
        data = {"title": self.title, "body": self.body, "url": self.url}
        text = msgspec.json.encode({name: value for name, value in data.items() if value}).decode()
        named = self.id if self.to == "user" and self.id else None
        return Notification(text, notification_id=named, category=self.category or None)


def composed(fields: Mapping[str, str]) -> Composed:
    """The fields of a form, checked as an application's fields are. Raises Invalid."""
    form = Composed(**{name: fields.get(name, "") for name in Composed._fields})
    wrong: list[tuple[str, str]] = []
    if form.to not in TO:
        wrong.append(("to", "choose a user, a topic or everybody"))
    if not form.title:
        wrong.append(("title", "give a title"))
    if form.url and not form.url.startswith(("/", "https://", "http://")):
        wrong.append(("url", "must begin with / or https://"))
    if wrong:
        raise Invalid(wrong)
    if form.to == "user":
        given.user(form.name)
    elif form.to == "topic":
        audience_names.topic(form.name)
    for at, name in (("category", form.category), ("id", form.id)):
        if name:
            given.name(at, name)
    return form


async def preview(node: Node, form: Composed) -> Mapping[str, object]:
    """The item as the bell shows the item, and about how many users the act reaches."""
    limits, clock = node.settings.limits, node.clock
    given.check([form.notification], at="notification", limits=limits, clock=clock)
    await _check_topic(node, form)
    reached = 1
    if form.to == "everybody":
        reached = await node.store.acts.audience_size(EVERYBODY, ABOUT + 1)
    elif form.to == "topic":
        reached = await node.store.acts.audience_size(audience_names.topic(form.name), ABOUT + 1)
    form = form._replace(id=form.id or new_notification_id(clock.now()))
    return {"form": form, "reached": min(reached, ABOUT), "more": reached > ABOUT, "preview": True}


async def send(node: Node, form: Composed, *, operator: str) -> str:
    """Notify, after the record of the act. Returns the page to read next."""
    if not form.id:
        raise Invalid([("id", "look at the preview first")])
    if form.to == "user":
        submission = given.submission(
            form.name, [form.notification], limits=node.settings.limits, clock=node.clock
        )
        await record(node, operator, "notify", user_id=submission.user_id, detail=form.id)
        await node.changes.notify([Submission(submission.user_id, submission.notifications)])
        return f"user?id={quote(submission.user_id, safe='')}"
    await _check_topic(node, form)
    to_topic = form.to == "topic"
    detail = f"{form.name} {form.id}" if to_topic else form.id
    await record(node, operator, "publish" if to_topic else "broadcast", detail=detail)
    if to_topic:
        await node.publications.notify_topic(form.name, ToAll([form.notification], publication_id=form.id))
    else:
        await node.publications.notify_everybody(ToEverybody([form.notification], publication_id=form.id))
    return f"publications?id={quote(form.id, safe='')}"


async def _check_topic(node: Node, form: Composed) -> None:
    if form.to == "topic" and not await node.store.audiences.exists(audience_names.topic(form.name)):
        raise Invalid([("name", "there is no topic of this name")])
