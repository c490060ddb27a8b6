"""Admission: device ids, and logins that a revocation overtook."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pns.contracts.authority import Credentials, Login
from pns.contracts.store import EVERY_DEVICE, State
from pns.errors import AuthUnavailable, Unauthorized
from pns.live.admission import ATTEMPTS, Admission
from pns.model.device import OwnedDevice
from pns.settings import AuthSettings
from tests.engine import NOBODY, StubAuthority, StubStore, turns
from tests.web.edge import an_edge


async def test_a_device_keeps_its_id_while_its_user_stays() -> None:
    admission = Admission(StubAuthority(*[Login("alice", 0)] * 3), StubStore().store, timeout_seconds=5)
    assert (await admission.check(NOBODY, None)).device_id == "new-device"
    assert (await admission.check(NOBODY, OwnedDevice("phone", "alice"))).device_id == "phone"
    other = (await admission.check(NOBODY, OwnedDevice("phone", "bob"))).device_id
    assert other not in ("phone", "new-device"), "another user on the same browser is another device"


async def test_an_overtaken_login_is_asked_anew() -> None:
    store, authority = StubStore(), StubAuthority(Login("alice", 4), Login("alice", 5))
    store.by_user["alice"] = State(revocations={EVERY_DEVICE: 5})
    admitted = await Admission(authority, store.store, timeout_seconds=5).check(NOBODY, None)
    assert admitted.revocation == 5
    assert [call["not_before"] for call in authority.calls] == [0, 5]


async def test_a_revocation_of_another_device_does_not_matter() -> None:
    store, authority = StubStore(), StubAuthority(Login("alice", 4))
    store.by_user["alice"] = State(revocations={"desk": 5})
    admission = Admission(authority, store.store, timeout_seconds=5)
    assert (await admission.check(NOBODY, OwnedDevice("phone", "alice"))).revocation == 4


async def test_a_no_after_a_revocation_is_a_no() -> None:
    store, authority = StubStore(), StubAuthority(Login("alice", 4), Unauthorized())
    store.by_user["alice"] = State(revocations={"phone": 5})
    with pytest.raises(Unauthorized):
        await Admission(authority, store.store, timeout_seconds=5).check(
            NOBODY, OwnedDevice("phone", "alice")
        )


async def test_a_doubt_never_lets_anybody_in() -> None:
    store, authority = StubStore(), StubAuthority(*[Login("alice", 4)] * ATTEMPTS)
    store.by_user["alice"] = State(revocations={EVERY_DEVICE: 5})
    with pytest.raises(AuthUnavailable):
        await Admission(authority, store.store, timeout_seconds=5).check(NOBODY, None)


class Hanging(StubAuthority):
    """Answers from its list, and then never."""

    async def login(self, credentials: Credentials, *, not_before: int = 0, recheck: bool = False) -> Login:
        if not self.answers:
            await asyncio.Event().wait()
        return await super().login(credentials, not_before=not_before, recheck=recheck)


@pytest.mark.parametrize("overtaken", [1, 2])
async def test_all_attempts_have_one_deadline_together(overtaken: int) -> None:
    store, authority = StubStore(), Hanging(*[Login("alice", 4)] * overtaken)
    store.by_user["alice"] = State(revocations={EVERY_DEVICE: 5})
    admission = Admission(authority, store.store, timeout_seconds=0.05)
    async with asyncio.timeout(10):
        with pytest.raises(AuthUnavailable, match="again and again"):
            await admission.check(NOBODY, None)
    assert len(authority.calls) == overtaken


async def test_a_connection_has_one_deadline_for_all_attempts(tmp_path: Path) -> None:
    authority = Hanging(Login("alice", -1))
    settings = AuthSettings(timeout_seconds=0.05)
    async with an_edge(tmp_path, authority, auth=settings) as edge:
        await edge.node.changes.revoke("alice", EVERY_DEVICE)
        async with asyncio.timeout(10):
            with pytest.raises(AuthUnavailable, match="again and again"):
                await edge.node.join(NOBODY, None)
        assert len(edge.node.hub) == 0
    assert len(authority.calls) == 1


async def test_the_first_question_keeps_its_own_time() -> None:
    """So that the authority says in the log why it has no answer."""

    class Slow(StubAuthority):
        async def login(
            self, credentials: Credentials, *, not_before: int = 0, recheck: bool = False
        ) -> Login:
            await turns()
            return await super().login(credentials, not_before=not_before, recheck=recheck)

    # The deadline is over before the first question ends: it is not cancelled for that.
    admission = Admission(Slow(Login("alice", 0)), StubStore().store, timeout_seconds=-10)
    assert (await admission.check(NOBODY, None)).user_id == "alice"
    store = StubStore()
    store.by_user["alice"] = State(revocations={EVERY_DEVICE: 1})
    admission = Admission(Slow(*[Login("alice", 0)] * 2), store.store, timeout_seconds=-10)
    with pytest.raises(AuthUnavailable):
        await admission.check(NOBODY, None)
