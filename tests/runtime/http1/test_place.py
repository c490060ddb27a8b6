"""The bytes of a request's head."""

from __future__ import annotations

import httpx2 as httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pns.runtime.http1 import Place
from pns.runtime.http1.place import head
from pns.runtime.http1.trouble import BadRequest

PLACE = Place.of(httpx.URL("https://user:secret@shop.example:8443/a%20b?c=d"))


def test_the_place_of_a_url() -> None:
    assert Place(True, "shop.example", 8443, b"shop.example:8443", b"/a%20b?c=d") == PLACE
    assert Place.of(httpx.URL("http://[::1]/")) == Place(False, "::1", 80, b"[::1]", b"/")
    assert Place.of(httpx.URL("https://bücher.example")).authority == b"xn--bcher-kva.example"


URLS = st.tuples(
    st.sampled_from(["http", "https", "HTTP", "ftp", ""]),
    st.sampled_from(["://", ":/", ""]),
    st.sampled_from(["", "u:p@"]),
    st.text("abZ.-_0129[]:%é", max_size=12) | st.sampled_from(["127.0.0.1", "1.2.3", "[::1]", "a.b"]),
    st.sampled_from(["", ":", ":80", ":443", ":8080", ":0", ":080", ":65536", ":x"]),
    st.text("/.aB%20~'\"<`{|}^ é;:@&=+$,-_#?", max_size=14),
).map("".join)


@given(URLS)
@example("http://127.0.0.1:8000/pns-auth")
@example("https://a.example/x/../y?z=/../#f")
@example("http://1.2.3.400/")
@example("http://a.example?")
@example("https://a.example:443/a/.b")
def test_a_place_is_read_as_the_library_reads_the_url(url: str) -> None:
    """A plain URL is read without the library, and to the same place."""
    try:
        read = httpx.URL(url)
        expected = Place.of(read) if read.scheme in ("http", "https") and read.host else None
    except httpx.InvalidURL:
        expected = None
    if expected is None:
        with pytest.raises(ValueError):  # noqa: PT011  # the text is the library's
            Place.parse(url)
    else:
        assert Place.parse(url) == expected


def test_a_head_is_what_was_given() -> None:
    assert head("POST", PLACE, [(b"a", b"b"), (b"X-C", b"\xe4 d")]) == (
        b"POST /a%20b?c=d HTTP/1.1\r\nhost: shop.example:8443\r\na: b\r\nX-C: \xe4 d\r\n\r\n"
    )


@pytest.mark.parametrize("number", [*range(32), 127])
def test_no_control_character_is_written(number: int) -> None:
    byte = bytes([number])
    if byte != b"\t":
        with pytest.raises(BadRequest):
            head("GET", PLACE, [(b"a", b"b" + byte)])
    for place in (PLACE._replace(target=b"/" + byte), PLACE._replace(authority=b"x" + byte)):
        with pytest.raises(BadRequest):
            head("GET", place, [])


@pytest.mark.parametrize("name", [b"", b" ", b"a b", b"a:", b"a\r\nb", b"\xe4", b"a\0"])
def test_a_name_is_a_token(name: bytes) -> None:
    with pytest.raises(BadRequest):
        head("GET", PLACE, [(name, b"b")])
