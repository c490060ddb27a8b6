"""What the docs say of push is what the code has: members, states, control fields, numbers."""

from __future__ import annotations

import msgspec
import pytest

from pns.adapters.gateways.fcm.message import MOST_BYTES
from pns.adapters.gateways.webpush.message import MAX_TEXT
from pns.contracts.audiences import Change
from pns.inbox.publications import Changed
from pns.model.device import MAX_ADDRESS, Registration
from pns.model.push import (
    APNsControls,
    Cause,
    FCMControls,
    FCMNotification,
    MQTTControls,
    PushControls,
    PushState,
    WebPushControls,
)
from pns.ops.serve.server import PING_SECONDS
from pns.push.circuit import FAILURES, RETRY_SECONDS
from pns.push.engine import SETTLED_SECONDS
from pns.push.registrar import MOST_DEVICES
from pns.web.registrations import MAX_BODY_BYTES
from tests.harness.mosquitto import SETUP

from .pages import code, codes, page, table

PROTOCOL, PUSH = "docs/protocol.md", "docs/push.md"
TIMES = {5: "five times"}


@pytest.mark.parametrize(
    ("page_name", "what", "struct"),
    [
        (PROTOCOL, "a change", Changed),
        (PROTOCOL, "a registration", Registration),
        (PUSH, "`push`", PushControls),
        (PUSH, "`fcm`", FCMControls),
        (PUSH, "`fcm.notification`", FCMNotification),
        (PUSH, "`apns`", APNsControls),
        (PUSH, "`webpush`", WebPushControls),
        (PUSH, "`mqtt`", MQTTControls),
    ],
)
def test_members_of_what_concerns_push(page_name: str, what: str, struct: type[msgspec.Struct]) -> None:
    rows = table(page_name, f"member of {what}")
    fields = msgspec.structs.fields(struct)
    assert [code(row.cells[0]) for row in rows] == [field.encode_name for field in fields]
    assert [row.cells[1].startswith("required") for row in rows] == [field.required for field in fields]


def test_control_fields() -> None:
    documented = [code(row.cells[0]) for row in table(PUSH, "control field")]
    assert documented == [field.encode_name for field in msgspec.structs.fields(Cause)]


def test_changes_of_a_bucket() -> None:
    (said,) = [row.cells[1] for row in table(PROTOCOL, "member of a change") if row.cells[0] == "`type`"]
    assert codes(said) == list(Change)


def test_states_of_a_push() -> None:
    documented = [code(row.cells[0]) for row in table(PROTOCOL, "state", "means")]
    assert sorted(documented) == sorted(PushState)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (PUSH, f"{SETTLED_SECONDS:g} s after the notify"),
        (PUSH, f"after {RETRY_SECONDS:g} s, then twice as long"),
        (PUSH, f"A network that fails {TIMES[FAILURES]} in a row"),
        (PUSH, f"take {MOST_BYTES:,} bytes with everything, Web Push {MAX_TEXT:,}"),
        (PUSH, f"after {2 * PING_SECONDS:g} s at most"),
        (PROTOCOL, f"over {MAX_BODY_BYTES:,} bytes for a registration"),
        (PROTOCOL, f"A user has at most {MOST_DEVICES};"),
        (PROTOCOL, f"up to {MAX_ADDRESS:,} characters"),
    ],
)
def test_numbers(name: str, words: str) -> None:
    assert words in " ".join(page(name).split()), words


def test_mosquitto_s_steps_are_those_that_the_tests_take() -> None:
    """What a broker needs to make logins and to keep them: the lines of its settings, and PNS's account."""
    steps = page(PUSH).partition("To prepare the plugin:")[2].partition('With `"none"`')[0]
    told = codes(" ".join(steps.split()))
    asked = [" ".join(command) for command in SETUP if "-p" not in command]
    assert {*asked, "createClient pns", "pns doctor"} <= {*told}
    folder = "/var/lib/mosquitto"
    logins = f"{folder}/dynamic-security.json"
    kept = [f"persistence_location {folder}/", f"plugin_opt_config_file {logins}", "persistence true"]
    assert {*kept, f"chown mosquitto: {logins}", "allow_anonymous false"} <= {*told}
