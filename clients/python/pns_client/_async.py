"""The async client. `_sync.py` is made from this module: a change here is followed by make.py."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self, cast

import httpx2

from pns_client import calls
from pns_client.calls import Answer, Given
from pns_client.types import (
    CategoryInfo,
    Channels,
    InboxItem,
    InstalledDevice,
    Marks,
    PreferenceInfo,
    PublicationInfo,
    Published,
    Subscriptions,
    TimelineItem,
    UserInfo,
)

MarkAs = Literal["seen", "read", "unread", "archived", "unarchived"]
Channel = Literal["inbox", "push", "webhook"]


class AsyncPNS:
    """PNS as the application sees it, at `url`, with an API key. Make one client for a process: it holds
    lines.

    Each method raises Problem when PNS refuses, and Unreachable, a Problem, when no answer came in five
    tries. `timeout`: seconds for one try. `first_wait`: seconds before the first repeat; each later wait is
    twice the one before.
    """

    def __init__(
        self, url: str, key: str, *, timeout: float = 10.0, first_wait: float = calls.FIRST_WAIT
    ) -> None:
        self._url = url.rstrip("/")
        self._first_wait = first_wait
        self._http = httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {key}"}, timeout=timeout, follow_redirects=False
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections. Safe to call twice."""
        await self._http.aclose()

    # ── notifications ───────────────────────────────────────────────────────────────────────────────

    async def notify(self, user_id: str, notifications: Given | Iterable[Given]) -> list[str]:
        """Store one notification or several for a user, all or none; their ids. Returned means durable."""
        body = {"user_id": user_id, "notifications": calls.notifications(notifications)}
        return cast(list[str], (await self._ask("POST", "/notify", body))["notification_ids"])

    async def notify_users(self, users: Iterable[tuple[str, Given | Iterable[Given]]]) -> list[str]:
        """The same for many users, in bodies of 1,000 notifications; all ids, in order.

        Each body is stored whole or not at all. An error leaves the bodies before it stored: to repeat all,
        give the notifications ids of your own.
        """
        ids: list[str] = []
        for body in calls.bodies(users):
            ids += (await self._ask("POST", "/notify", body))["notification_ids"]
        return ids

    async def withdraw(self, user_id: str, notification_id: str, *, member: str | None = None) -> None:
        """Remove a notification, or one member of a group, whether seen or not. Unknown ones are no error."""
        path = calls.path("users", user_id, "notifications", notification_id)
        await self._ask("DELETE", path, query={"member": member})

    async def mark(
        self,
        user_id: str,
        as_: MarkAs,
        *,
        notification_ids: Sequence[str] | None = None,
        collapse_key: str | None = None,
        category: str | None = None,
        all: Literal[True] | None = None,
        up_to: str | None = None,
    ) -> Marks:
        """Mark notifications, named in one of four ways; how many changed, and the numbers after."""
        members: dict[str, Any] = {
            "as": as_,
            "notification_ids": notification_ids,
            "collapse_key": collapse_key,
        }
        members |= {"category": category, "all": all, "up_to": up_to}
        return cast(
            Marks, await self._ask("POST", calls.path("users", user_id, "marks"), calls.given(members))
        )

    async def notifications(
        self,
        user_id: str,
        *,
        category: str | None = None,
        unread: Literal[True] | None = None,
        archived: bool | None = None,
        pending: Literal[True] | None = None,
    ) -> AsyncIterator[InboxItem]:
        """All notifications of a user, oldest first, page after page; `pending`: by deliver_date."""
        path = calls.path("users", user_id, "notifications")
        query = {"category": category, "unread": unread, "archived": archived, "pending": pending}
        after: str | None = ""
        while after is not None:
            page = (await self._ask("GET", path, query={**query, "after": after}))["notifications"]
            for item in page:
                yield item
            after = calls.last_id(page)

    # ── users ───────────────────────────────────────────────────────────────────────────────────────

    async def user(self, user_id: str, *, counts: Literal["category"] | None = None) -> UserInfo:
        """A user's numbers and connected devices; with `counts="category"`, also those of categories with
        something unread, at most 64.
        """
        return cast(UserInfo, await self._ask("GET", calls.path("users", user_id), query={"counts": counts}))

    async def erase(self, user_id: str) -> None:
        """Remove all that PNS has of a user, and end the connections."""
        await self._ask("DELETE", calls.path("users", user_id))

    async def disconnect(self, user_id: str, *, device_id: str | None = None) -> None:
        """End the connections of a user, or of one device: at a logout, or after a changed password."""
        await self._ask("DELETE", calls.path("users", user_id, "connections"), query={"device_id": device_id})

    async def devices(self, user_id: str) -> list[InstalledDevice]:
        """The user's devices at push networks."""
        answer = await self._ask("GET", calls.path("users", user_id, "devices"))
        return cast(list[InstalledDevice], answer["devices"])

    async def remove_device(self, user_id: str, device_id: str) -> None:
        """Push to this device no more. Raises NotFound for a device that is not the user's."""
        await self._ask("DELETE", calls.path("users", user_id, "devices", device_id))

    async def timeline(
        self, user_id: str, *, before: str | None = None, limit: int | None = None
    ) -> list[TimelineItem]:
        """What happened to the user's notifications, a page of it, newest first.

        `before`: the `id` of the last line of the page before. An empty page is the end.
        """
        path = calls.path("users", user_id, "timeline")
        answer = await self._ask("GET", path, query={"before": before or "", "limit": limit})
        return cast(list[TimelineItem], answer["timeline"])

    # ── preferences ─────────────────────────────────────────────────────────────────────────────────

    async def categories(self) -> list[CategoryInfo]:
        """All categories that were declared."""
        return cast(list[CategoryInfo], (await self._ask("GET", "/categories"))["categories"])

    async def declare_category(
        self,
        category: str,
        title: str,
        *,
        description: str | None = None,
        defaults: Channels | None = None,
        required: Sequence[Channel] | None = None,
    ) -> None:
        """Show a category among the users' preferences, or show it anew: what is not given is empty then."""
        members = {"title": title, "description": description, "defaults": defaults, "required": required}
        await self._ask("PUT", calls.path("categories", category), calls.given(members))

    async def remove_category(self, category: str) -> None:
        """Show a category no more, and forget what users chose. Notifications of it stay."""
        await self._ask("DELETE", calls.path("categories", category))

    async def preferences(self, user_id: str) -> list[PreferenceInfo]:
        """What a user chose, for each declared category."""
        answer = await self._ask("GET", calls.path("users", user_id, "preferences"))
        return cast(list[PreferenceInfo], answer["preferences"])

    async def set_preferences(
        self, user_id: str, preferences: Mapping[str, Channels]
    ) -> list[PreferenceInfo]:
        """Choose for a user; categories and channels that are not named stay. What is chosen then."""
        body = {"preferences": preferences}
        answer = await self._ask("PATCH", calls.path("users", user_id, "preferences"), body)
        return cast(list[PreferenceInfo], answer["preferences"])

    # ── topics, buckets, publications ───────────────────────────────────────────────────────────────

    async def make_topic(self, topic: str) -> None:
        """Make a topic, if it is not there."""
        await self._ask("PUT", calls.path("topics", topic))

    async def remove_topic(self, topic: str) -> None:
        """Remove a topic with its subscribers."""
        await self._ask("DELETE", calls.path("topics", topic))

    async def remove_bucket(self, bucket: str) -> None:
        """Remove a bucket with its subscribers."""
        await self._ask("DELETE", calls.path("buckets", bucket))

    async def subscribe_to_topic(self, topic: str, user_id: str) -> None:
        """Subscribe a user to a topic. Raises NotFound where there is no such topic."""
        await self._ask("PUT", calls.path("topics", topic, "subscribers", user_id))

    async def unsubscribe_from_topic(self, topic: str, user_id: str) -> None:
        """End a user's subscription to a topic."""
        await self._ask("DELETE", calls.path("topics", topic, "subscribers", user_id))

    async def subscribe_to_bucket(self, bucket: str, user_id: str) -> None:
        """Subscribe a user to a bucket, which is made by its first subscriber."""
        await self._ask("PUT", calls.path("buckets", bucket, "subscribers", user_id))

    async def unsubscribe_from_bucket(self, bucket: str, user_id: str) -> None:
        """End a user's subscription to a bucket."""
        await self._ask("DELETE", calls.path("buckets", bucket, "subscribers", user_id))

    async def subscriptions(self, user_id: str) -> Subscriptions:
        """The topics and buckets of a user."""
        return cast(Subscriptions, await self._ask("GET", calls.path("users", user_id, "subscriptions")))

    async def notify_topic(
        self,
        topic: str,
        notifications: Given | Iterable[Given],
        *,
        publication_id: str | None = None,
        sender: str | None = None,
    ) -> Published:
        """Notify every subscriber of a topic. Returned means durable; the spreading follows.

        `sender`: a name for the pushes, one of their control fields; it leaves out nobody.
        Raises NotFound where there is no such topic.
        """
        return await self._publish(
            calls.path("topics", topic, "notify"),
            {
                "notifications": calls.notifications(notifications),
                "publication_id": publication_id,
                "sender": sender,
            },
        )

    async def bucket_changed(
        self,
        bucket: str,
        type: str,
        *,
        object_id: str | None = None,
        notification_data: str | Mapping[str, Any] | None = None,
        sender: str | None = None,
        collapse: bool | None = None,
        push: Mapping[str, Any] | None = None,
        publication_id: str | None = None,
    ) -> Published:
        """Tell every subscriber of a bucket of a change, such as "DATA_OBJECT_CREATED". `sender`: as of
        `notify_topic`.
        """
        members: dict[str, Any] = {
            "type": type,
            "object_id": object_id,
            "notification_data": notification_data,
            "sender": sender,
        }
        members |= {"collapse": collapse, "push": push, "publication_id": publication_id}
        return await self._publish(calls.path("buckets", bucket, "changed"), members)

    async def broadcast(
        self,
        notifications: Given | Iterable[Given],
        *,
        publication_id: str | None = None,
        sender: str | None = None,
        seen_within_days: int | None = None,
    ) -> Published:
        """Notify every known user; with `seen_within_days`, none who was connected last before that.

        `sender`: as of `notify_topic`.
        """
        members = {"notifications": calls.notifications(notifications), "publication_id": publication_id}
        return await self._publish(
            "/broadcast", members | {"sender": sender, "seen_within_days": seen_within_days}
        )

    async def publication(self, publication_id: str) -> PublicationInfo:
        """How far a publication has come."""
        return cast(PublicationInfo, await self._ask("GET", calls.path("publications", publication_id)))

    async def publications(
        self, *, before: str | None = None, limit: int | None = None
    ) -> list[PublicationInfo]:
        """A page of publications, newest first; `before` is the last id of the page before."""
        answer = await self._ask("GET", "/publications", query={"before": before, "limit": limit})
        return cast(list[PublicationInfo], answer["publications"])

    async def take_back(self, publication_id: str) -> None:
        """Take a publication out of every inbox where it is unseen, and spread it no further. Returned means
        durable; the rest follows. Raises NotFound for an unknown one.
        """
        await self._ask("DELETE", calls.path("publications", publication_id))

    # ── the line ────────────────────────────────────────────────────────────────────────────────────

    async def _publish(self, path: str, members: dict[str, Any]) -> Published:
        members["publication_id"] = members["publication_id"] or calls.new_id()
        return cast(Published, await self._ask("POST", path, calls.given(members)))

    async def _ask(
        self, method: str, path: str, body: object = None, *, query: Mapping[str, Any] | None = None
    ) -> Any:
        """The JSON of the answer, after as many tries as it takes; each has the same body."""
        content = (
            None if body is None else json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        )
        tries = 0
        while True:
            tries += 1
            answer, reason = await self._try(method, path, content, calls.given(query or {}))
            wait = calls.wait(tries, self._first_wait, answer)
            if wait is None:
                return calls.checked(answer, reason)
            await asyncio.sleep(wait)

    async def _try(
        self, method: str, path: str, content: bytes | None, query: Mapping[str, Any]
    ) -> tuple[Answer | None, str]:
        """An answer, or None and the reason."""
        headers = {} if content is None else {"Content-Type": "application/json"}
        asked = {
            name: str(value).lower() if isinstance(value, bool) else value for name, value in query.items()
        }
        try:
            got = await self._http.request(
                method, f"{self._url}{path}", content=content, headers=headers, params=asked or None
            )
        except httpx2.TransportError as error:
            return None, str(error) or type(error).__name__
        return _read(got)


def _read(got: httpx2.Response) -> tuple[Answer | None, str]:
    try:
        data = got.json() if got.content else None
    except ValueError:
        if got.is_success:
            return None, "a success whose body is no JSON: not PNS's"
        data = None
    waited = got.headers.get("retry-after", "")
    return Answer(got.status_code, float(waited) if waited.isdigit() else None, data), ""
