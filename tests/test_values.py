"""The values: ids, times, notifications, messages and their codes."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pns import errors
from pns.model.device import parse_user_id
from pns.model.messages import CloseCode, CountChanged, encode, encode_count
from pns.model.notification import Notification, new_notification_id
from pns.model.timestamp import format_timestamp, microseconds, parse_timestamp

LATEST = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.mark.parametrize("user_id", ["a", "42", "42/connections", "é", "😀", "x" * 255, "...", " "])
def test_user_ids_are_taken_as_they_are(user_id: str) -> None:
    assert parse_user_id(user_id) == user_id


@pytest.mark.parametrize(("number", "text"), [(42, "42"), (-1, "-1"), (2**63, "9223372036854775808")])
def test_integers_are_taken_as_their_digits(number: int, text: str) -> None:
    assert parse_user_id(number) == text


def test_a_uuid_is_taken_as_its_text() -> None:
    assert parse_user_id(uuid.UUID(int=42)) == "00000000-0000-0000-0000-00000000002a"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x" * 256,
        ".",
        "..",
        "a\nb",
        "\0",
        "\x7f",
        "\x85",
        "\ud800",
        None,
        True,
        1.0,
        [],
        {},
        10**255,
    ],
)
def test_what_is_no_user_id(value: object) -> None:
    with pytest.raises(ValueError, match="must"):
        parse_user_id(value)


@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(UTC)))
def test_times_survive_the_way_out_and_in(moment: datetime) -> None:
    text = format_timestamp(microseconds(moment))
    assert len(text) == len("2026-11-21T19:31:00.123456Z")
    assert parse_timestamp(text) == microseconds(moment)


@pytest.mark.parametrize(
    "text", ["", "now", "2026-11-21", "2026-11-21T19:31:00", "2026-02-30T00:00:00Z", "2026-11-21T25:00:00Z"]
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="RFC 3339"):
        parse_timestamp(text)


@pytest.mark.parametrize("name", ["", "a" * 65, "a b", "a\n", "é", "a/b"])
def test_names_are_checked_where_they_enter(name: str) -> None:
    for field in ("notification_id", "category", "collapse_key"):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"notification_data": "x", field: name}, Notification)
    msgspec.convert({"notification_data": "x", "notification_id": "A-z_0.9:" + "a" * 56}, Notification)


@pytest.mark.parametrize(
    ("notification", "field"),
    [
        (Notification(""), "notification_data"),
        (Notification("é" * 6), "notification_data"),
        (Notification("a\0b"), "notification_data"),
        (Notification("\ud800"), "notification_data"),
        (Notification("x", create_date=LATEST + timedelta(microseconds=1)), "create_date"),
        (Notification("x", expire_date=datetime.fromisoformat("0001-01-01T00:00:00+23:00")), "expire_date"),
        (Notification("x", expire_date=datetime.fromisoformat("9999-12-31T23:59:59-23:00")), "expire_date"),
    ],
)
def test_what_a_type_cannot_say(notification: Notification, field: str) -> None:
    wrong = notification.check(max_bytes=11, latest_create_date=LATEST)
    assert wrong is not None
    assert wrong[0] == field


def test_a_notification_at_the_limits_is_good() -> None:
    exact = Notification("é" * 5 + "x", create_date=LATEST, expire_date=LATEST)
    assert exact.check(max_bytes=11, latest_create_date=LATEST) is None


def test_ids_are_uuids_of_version_7_in_the_order_of_time() -> None:
    now = microseconds(LATEST)
    ids = [new_notification_id(now + step * 1000) for step in range(100)]
    assert ids == sorted(ids)
    assert len(set(ids)) == 100
    for text in ids:
        parsed = uuid.UUID(text)
        assert (parsed.version, parsed.variant, str(parsed)) == (7, uuid.RFC_4122, text)
    assert uuid.UUID(ids[0]).int >> 80 == now // 1000


def test_the_quick_count_is_the_message() -> None:
    for count in (0, 1, 10**12):
        assert encode_count(count) == encode(CountChanged(count))


def test_close_codes_say_why_in_123_bytes() -> None:
    for code in CloseCode:
        assert len(code.cause.encode()) <= 123, "RFC 6455 §5.5"
        assert int(code) == code.value


def _tree(root: type[errors.PNSError]) -> list[type[errors.PNSError]]:
    return [root, *(deeper for child in root.__subclasses__() for deeper in _tree(child))]


@pytest.mark.parametrize("error", _tree(errors.PNSError))
def test_every_error_has_a_message_and_stands_in_the_drawn_tree(error: type[errors.PNSError]) -> None:
    assert error.__doc__
    if error.__module__ == "pns.errors":
        assert error.__name__ in (errors.__doc__ or "")
    if issubclass(error, errors.Problem) and error is not errors.Invalid:
        assert str(error()) == " ".join(error.__doc__.split())
        assert error().title


def test_problem_codes_are_stable_names_with_one_status() -> None:
    problems = [error for error in _tree(errors.Problem) if issubclass(error, errors.Problem)]
    by_code: dict[str, set[int]] = {}
    for problem in problems:
        by_code.setdefault(problem.code, set()).add(problem.status)
    assert all(len(statuses) == 1 for statuses in by_code.values())
