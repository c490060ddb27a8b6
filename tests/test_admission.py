"""Admission: device ids, and logins that a revocation overtook."""

from __future__ import annotations

import pytest

from pns.admission import ATTEMPTS, Admission
from pns.authority import Login
from pns.errors import AuthUnavailable, Unauthorized
from pns.store import EVERY_DEVICE, State
from tests.engine import NOBODY, StubAuthority, StubStore


async def test_a_device_keeps_its_id_while_its_user_stays() -> None:
    admission = Admission(StubAuthority(*[Login("alice", 0)] * 3), StubStore().store)
    assert (await admission.admit(NOBODY, None)).device_id == "new-device"
    assert (await admission.admit(NOBODY, ("phone", "alice"))).device_id == "phone"
    other = (await admission.admit(NOBODY, ("phone", "bob"))).device_id
    assert other not in ("phone", "new-device"), "another user on the same browser is another device"


async def test_an_overtaken_login_is_asked_anew() -> None:
    store, authority = StubStore(), StubAuthority(Login("alice", 4), Login("alice", 5))
    store.by_user["alice"] = State(revocations={EVERY_DEVICE: 5})
    admitted = await Admission(authority, store.store).admit(NOBODY, None)
    assert admitted.revocation == 5
    assert [call["not_before"] for call in authority.calls] == [0, 5]


async def test_a_revocation_of_another_device_does_not_matter() -> None:
    store, authority = StubStore(), StubAuthority(Login("alice", 4))
    store.by_user["alice"] = State(revocations={"desk": 5})
    assert (await Admission(authority, store.store).admit(NOBODY, ("phone", "alice"))).revocation == 4


async def test_a_no_after_a_revocation_is_a_no() -> None:
    store, authority = StubStore(), StubAuthority(Login("alice", 4), Unauthorized())
    store.by_user["alice"] = State(revocations={"phone": 5})
    with pytest.raises(Unauthorized):
        await Admission(authority, store.store).admit(NOBODY, ("phone", "alice"))


async def test_a_doubt_never_lets_anybody_in() -> None:
    store, authority = StubStore(), StubAuthority(*[Login("alice", 4)] * ATTEMPTS)
    store.by_user["alice"] = State(revocations={EVERY_DEVICE: 5})
    with pytest.raises(AuthUnavailable):
        await Admission(authority, store.store).admit(NOBODY, None)
