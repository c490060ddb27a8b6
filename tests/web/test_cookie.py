"""The device cookie: what is written is read back, and nothing else ever is."""

from __future__ import annotations

import base64
import os
from http.cookies import SimpleCookie

import pytest
from hypothesis import given
from hypothesis import strategies as st
from itsdangerous import URLSafeSerializer

from pns.model.device import OwnedDevice
from pns.web.cookie import DeviceCookie

COOKIE = DeviceCookie("secret", "pns_device", "lax")


def value_of(header: bytes) -> bytes:
    """What a browser sends back."""
    return header.split(b";")[0]


def issued(device_id: str = "d1", user_id: str = "u1", cookie: DeviceCookie = COOKIE) -> bytes:
    return value_of(cookie.set_cookie(device_id, user_id, path="", secure=False))


def marked(device_id: str = "d1", user_id: str = "u1") -> bytes:
    """What a browser sends back from where its user was left."""
    return value_of(COOKIE.set_cookie(device_id, user_id, path="", secure=False, left=True))


def named(values: list[bytes]) -> OwnedDevice | None:
    found = COOKIE.read(values)
    return None if found is None else found.device


def is_left(values: list[bytes]) -> bool:
    found = COOKIE.read(values)
    return found is not None and found.left


def flipped(value: bytes, at: int) -> bytes:
    return value[:at] + (b"A" if value[at : at + 1] != b"A" else b"B") + value[at + 1 :]


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=255))
def test_any_user_comes_back(user_id: str) -> None:
    value = issued("d" * 32, user_id)
    assert named([value]) == ("d" * 32, user_id)
    assert len(value) < 4096
    left = marked("d" * 32, user_id)
    assert (named([left]), is_left([left])) == (("d" * 32, user_id), True)


def test_the_longest_user_fits_in_what_browsers_keep() -> None:
    user_id = "".join(chr(0x10000 + 7919 * n % 0xFFFF) for n in range(255))
    value = issued("d" * 32, user_id)
    assert len(value) < 4096
    assert named([value]) == ("d" * 32, user_id)
    left = marked("d" * 32, user_id)
    assert len(left) < 4096
    assert is_left([left])


def test_it_says_nothing_in_the_clear_that_a_cookie_may_not_hold() -> None:
    name, _, value = issued(user_id='a;b=c, "d" é\u2028').partition(b"=")
    assert name == b"pns_device"
    assert set(value) <= set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


@pytest.mark.parametrize(
    "values",
    [
        [b"sid=1; " + issued()],
        [b"sid=1", issued()],
        [issued() + b"; sid=1", b"x"],
        [b"  " + issued() + b" ;"],
        [b'pns_device="' + issued().partition(b"=")[2] + b'"'],
        [b"pns_device = " + issued().partition(b"=")[2]],
        [b"pns_device=forged; " + issued()],
        [flipped(issued(), -1) + b"; pns_device=; pns_device; " + issued()],
        [b"pns_device=\xff; " + issued()],
        [b"pns_device=" + b"a" * 5000 + b"; " + issued()],
    ],
)
def test_the_first_valid_one_is_found(values: list[bytes]) -> None:
    assert named(values) == ("d1", "u1")


def test_of_two_valid_ones_the_first_counts() -> None:
    assert named([issued("d1", "u1") + b"; " + issued("d2", "u2")]) == ("d1", "u1")


def test_every_single_flipped_character_is_noticed() -> None:
    value = issued()
    start = len(b"pns_device=")
    # The last character carries spare bits of base64, which the signature check compares too.
    assert all(COOKIE.read([flipped(value, at)]) is None for at in range(start, len(value)))


def test_another_user_cannot_be_put_in() -> None:
    mine, _, signature = issued("d1", "u1").partition(b"=")[2].rpartition(b".")
    payload = base64.urlsafe_b64encode(b'["d1","u2"]').rstrip(b"=")
    assert mine != payload
    assert COOKIE.read([b"pns_device=" + payload + b"." + signature]) is None


@pytest.mark.parametrize(
    "value",
    [
        issued(cookie=DeviceCookie("other", "pns_device", "lax")),
        issued(cookie=DeviceCookie("secret", "pns_device2", "lax")),
        issued().replace(b"pns_device", b"PNS_DEVICE"),
        issued().replace(b"pns_device", b"xpns_device"),
        b"pns_device=" + URLSafeSerializer("secret").dumps(["d1", "u1"]).encode(),
        b"pns_device=" + URLSafeSerializer("secret", salt="pns.model.device").dumps(["d1", "u1"]).encode(),
        issued()[:-1],
        issued() + b"A",
        issued() + b"A" * 5000,
        issued() + b"\xc3\xa9",
        "pns_device=é.ü.ß".encode(),
        b"pns_device=\x00\xff",
        b"pns_device=.",
        b"pns_device=" + b"." * 3000,
        b"pns_device",
        b"=",
        b"",
    ],
)
def test_what_was_not_signed_here_is_none(value: bytes) -> None:
    assert COOKIE.read([value]) is None


@pytest.mark.parametrize("payload", [["d1"], ["d1", 2], {"d1": "u1"}, "d1", None, ["d1", "u1", "x"], 7])
def test_a_good_signature_on_something_else_is_none(payload: object) -> None:
    text = COOKIE._serializer.dumps(payload)
    assert COOKIE.read([b"pns_device=" + str(text).encode()]) is None


def test_the_mark_is_that_of_the_cookie_that_counts() -> None:
    there, gone = issued("d1"), marked("d2")
    for values, left in (([there, gone], False), ([gone, there], True), ([there], False), ([gone], True)):
        assert named(values) == (("d2" if left else "d1"), "u1")
        assert is_left(values) is left
    assert not is_left([b"pns_device=forged"])
    assert not is_left([])


def test_the_mark_cannot_be_put_in_nor_taken_out() -> None:
    for mine, other in ((issued(), marked()), (marked(), issued())):
        payload, signature = other.rpartition(b".")[0], mine.rpartition(b".")[2]
        assert COOKIE.read([payload + b"." + signature]) is None


def test_the_release_before_takes_a_marked_cookie_for_none_and_knows_every_other() -> None:
    """It reads two texts and nothing else: with the mark a user becomes a new device, and nobody else."""
    payloads = [COOKIE._serializer.loads(text.partition(b"=")[2]) for text in (issued(), marked())]
    assert payloads == [["d1", "u1"], ["d1", "u1", "left"]]


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_no_bytes_raise(values: list[bytes]) -> None:
    assert COOKIE.read(values) is None
    assert COOKIE.read([b"pns_device=" + value for value in values]) is None


def test_a_flood_of_forged_cookies_costs_sixteen_tries() -> None:
    forged = b"pns_device=a.b; "
    assert named([forged * 15 + issued()]) == ("d1", "u1")
    assert COOKIE.read([forged * 16 + issued()]) is None


def test_more_than_browsers_keep_is_not_looked_at() -> None:
    texts = [str(COOKIE._serializer.dumps(["d1", os.urandom(size).hex()])) for size in (1000, 3000)]
    assert [len(text) > 4096 for text in texts] == [False, True]
    found = [COOKIE.read([b"pns_device=" + text.encode()]) is not None for text in texts]
    assert found == [True, False]


def test_a_cookie_that_was_given_out_stays_valid() -> None:
    # Another salt, digest or payload would make every browser a new device.
    kept = b"pns_device=WyJkMSIsInUxIl0.fGT_iY4rGA-rEdkuS9_4g84DVm_WEC8ImcUCwr94mk0"
    assert named([kept]) == ("d1", "u1")


# ── attributes ────────────────────────────────────────────────────────────────────────────────────────


def attributes(same_site: str, *, path: str = "", secure: bool = False) -> list[bytes]:
    header = DeviceCookie("secret", "pns_device", same_site).set_cookie("d", "u", path=path, secure=secure)
    return header.split(b"; ")[1:]


def test_the_attributes() -> None:
    expected = [b"Path=/", b"Max-Age=31536000", b"HttpOnly", b"SameSite=Lax"]
    assert attributes("lax") == expected
    assert attributes("lax", secure=True) == [*expected, b"Secure"]
    assert attributes("strict")[-1] == b"SameSite=Strict"


@pytest.mark.parametrize("secure", [True, False])
def test_none_is_always_secure_and_partitioned(secure: bool) -> None:
    assert attributes("none", secure=secure)[-3:] == [b"SameSite=None", b"Secure", b"Partitioned"]


@pytest.mark.parametrize(
    ("path", "written"),
    [
        ("", b"/"),
        ("/", b"/"),
        ("/pns", b"/pns"),
        ("/pns/", b"/pns"),
        ("/a b/é", b"/a%20b/%C3%A9"),
        ("/a; Domain=evil", b"/a%3B%20Domain=evil"),
        ("/a\r\nX: y", b"/a%0D%0AX:%20y"),
    ],
)
def test_the_path_is_that_of_the_mount(path: str, written: bytes) -> None:
    assert attributes("lax", path=path)[0] == b"Path=" + written


def test_the_standard_librarys_parser_reads_it() -> None:
    header = COOKIE.set_cookie("d1", "u1", path="/pns", secure=True).decode()
    morsel = SimpleCookie(header)["pns_device"]
    assert (morsel["path"], morsel["max-age"], morsel["samesite"]) == ("/pns", "31536000", "Lax")
    assert morsel["httponly"]
    assert morsel["secure"]


def test_without_a_secret_there_is_no_cookie() -> None:
    with pytest.raises(ValueError, match="secret"):
        DeviceCookie("", "pns_device", "lax")


# ── names with a prefix ───────────────────────────────────────────────────────────────────────────────


def marks_of(name: str, *, path: str, secure: bool, same_site: str = "lax") -> set[str]:
    header = DeviceCookie("secret", name, same_site).set_cookie("d1", "u1", path=path, secure=secure)
    return set(header.decode().split("; ")[1:])


@pytest.mark.parametrize("name", ["__Host-pns", "__host-pns", "__HOST-pns", "__Host-Http-pns"])
@pytest.mark.parametrize("path", ["", "/pns", "/a/b/"])
def test_a_host_name_has_the_root_as_its_path(name: str, path: str) -> None:
    """A browser drops it with any other path, and without Secure, and says so nowhere."""
    for secure in (True, False):
        given = marks_of(name, path=path, secure=secure)
        assert {"Path=/", "Secure", "HttpOnly"} <= given
        assert not any(each.startswith("Domain") for each in given)


@pytest.mark.parametrize("name", ["__Secure-pns", "__secure-pns", "__Http-pns"])
def test_a_secure_name_is_secure(name: str) -> None:
    for secure in (True, False):
        assert {"Path=/pns", "Secure", "HttpOnly"} <= marks_of(name, path="/pns", secure=secure)


@pytest.mark.parametrize("name", ["pns_device", "Host-pns", "_Host-pns", "__Hostpns", "x__Secure-pns"])
def test_other_names_are_as_the_request(name: str) -> None:
    assert "Secure" not in marks_of(name, path="/pns", secure=False)
    assert {"Path=/pns", "Secure"} <= marks_of(name, path="/pns", secure=True)


def test_a_host_name_of_other_sites_pages() -> None:
    assert {"Path=/", "Secure", "Partitioned", "SameSite=None"} <= marks_of(
        "__Host-pns", path="/pns", secure=False, same_site="none"
    )
