"""The URLs of the settings: an impossible text is refused at the start, with the remedy and without a piece
of the text; a possible text means the same as to the program that it was made for.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pns.settings.address import Host
from pns.settings.broker_url import mqtt, nats, redis
from pns.settings.postgres_url import bus_database, postgres
from pns.settings.urls import bus_url, device_url, mqtt_url, passed_over, sqlite_path, store_url

SECRET = "hunter2"


def refusal(reader: Callable[[str], object], text: str) -> str:
    with pytest.raises(ValueError, match=r"^(must|has|may) ") as refused:
        reader(text)
    assert type(refused.value) is ValueError
    assert SECRET not in str(refused.value)
    assert refused.value.__suppress_context__ or refused.value.__context__ is None
    assert str(refused.value).isprintable()
    return str(refused.value)


# ── the login ─────────────────────────────────────────────────────────────────────────────────────────

SERVERS = [
    (store_url, "postgresql://pns:{}@db:5432/pns"),
    (store_url, "postgresql://pns:{}@db1,db2:5433/pns?sslmode=require"),
    (bus_url, "postgresql://pns:{}@db/pns"),
    (bus_url, "redis://:{}@cache:6379/1"),
    (bus_url, "rediss://pns:{}@cache"),
    (bus_url, "nats://pns:{}@hub:4222"),
    (bus_url, "nats://{}@hub/shop"),
]


@pytest.mark.parametrize(("reader", "form"), SERVERS)
@pytest.mark.parametrize("place", ["{0}hunter2", "hunter2{0}", "hun{0}hunter2"])
def test_an_unescaped_mark_is_told_how_to_be_written(
    reader: Callable[[str], object], form: str, place: str
) -> None:
    for mark in ("@", "/", "?", "#", "[", "]", "[x]", "%", "/@", "?x=1&", "@h/", "#?/"):
        password = place.format(mark)
        told = refusal(reader, form.format(password))
        for written in ("%40", "%2F", "%3F", "%23", "%5B", "%5D", "%25"):
            assert written in told, mark
        assert reader(form.format(quote(password, safe="")))


@given(user=st.text(min_size=1), password=st.text(min_size=1))
def test_every_login_can_be_written(user: str, password: str) -> None:
    user, password = (
        text.encode(errors="ignore").decode().replace("\0", "") or "x" for text in (user, password)
    )
    login = f"{quote(user, safe='')}:{quote(password, safe='')}"
    found = postgres(f"postgresql://{login}@h/db")
    assert (found.user, found.password) == (user, password)
    assert redis(f"redis://{login}@h")[3:5] == (user, password)
    assert nats(f"nats://{login}@h")[2:4] == (user, password)


@given(st.text())
def test_no_text_is_told_again_or_breaks_a_reader(text: str) -> None:
    for reader in (store_url, bus_url, mqtt_url, device_url):
        for form in ("{}", "postgresql://{}", "redis://{}", "nats://u:{}@h", "sqlite:///{}", "mqtt://{}"):
            assert told(reader, form.format(text)).isprintable()


def told(reader: Callable[[str], object], text: str) -> str:
    """The refusal of `text`, if any. Any other error than ValueError itself is a failure."""
    try:
        reader(text)
    except ValueError as error:
        if type(error) is not ValueError:
            raise
        return str(error)
    return ""


# ── SQLite ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("sqlite:///pns.db", "pns.db"),
        ("sqlite:////var/lib/pns.db", "/var/lib/pns.db"),
        ("sqlite:///a%23b%3Fc.db", "a#b?c.db"),
        ("sqlite:///my store@home/[1].db", "my store@home/[1].db"),
        ("sqlite:///caf%C3%A9.db", "café.db"),
    ],
)
def test_a_file(text: str, path: str) -> None:
    assert store_url(text) == text
    assert sqlite_path(text) == path


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("sqlite:///a#b.db", "write # as %23 and ? as %3F"),
        ("sqlite:///a?b.db", "write # as %23 and ? as %3F"),
        ("sqlite:///pns.db?mode=rwc", "without options"),
        ("sqlite:///pns.db?", "without options"),
        ("sqlite:///", "must name a file"),
        ("sqlite:///folder/", "must name a file"),
        ("sqlite://", "three slashes"),
        ("sqlite://pns.db", "three slashes"),
        ("sqlite://./pns.db", "three slashes"),
        ("sqlite:///:memory:", "memory keeps nothing"),
        ("sqlite:///a%00b", "NUL"),
        ("sqlite:///a\nb", "control characters"),
        ("sqlite:///a%ffb", "UTF-8"),
        ("sqlite:///100%.db", "% as %25"),
    ],
)
def test_no_file(text: str, remedy: str) -> None:
    assert remedy in refusal(store_url, text)


# ── PostgreSQL ────────────────────────────────────────────────────────────────────────────────────────


def test_what_a_url_of_postgres_says() -> None:
    found = postgres(
        "postgresql://u%40x:p%2F@[::1]:1,h2,10.0.0.1:3/my%2Fdb?sslmode=verify-full&sslrootcert=%2Fca.pem"
        "&application_name=shop&options=-c%20search_path%3Dx&connect_timeout=3&a.b=c"
    )
    assert (found.user, found.password, found.database) == ("u@x", "p/", "my/db")
    assert found.hosts == (Host("::1", 1), Host("h2", None), Host("10.0.0.1", 3))
    assert found.ports == (1, 5432, 3)
    assert found.line == {"sslmode": "verify-full", "sslrootcert": "/ca.pem"}
    assert found.session == {"application_name": "shop", "options": "-c search_path=x", "a.b": "c"}
    assert found.passed_over == ("connect_timeout",)
    assert found.place == "[::1]:1,h2,10.0.0.1:3/my/db"


@pytest.mark.parametrize(
    ("text", "hosts", "ports"),
    [
        ("postgresql:///db", (), ()),
        ("postgresql:///db?host=/run/postgresql", (Host("/run/postgresql", None),), ()),
        ("postgresql://%2Frun%2Fpostgresql/db", (Host("/run/postgresql", None),), ()),
        ("postgresql:///db?host=a,b&port=1,2", (Host("a", 1), Host("b", 2)), (1, 2)),
        ("postgresql://a,b/db?port=7", (Host("a", 7), Host("b", 7)), (7, 7)),
        ("postgresql://h:/db", (Host("h", None),), ()),
    ],
)
def test_the_hosts(text: str, hosts: tuple[Host, ...], ports: tuple[int, ...]) -> None:
    found = postgres(text)
    assert (found.hosts, found.ports) == (hosts, ports)


HOSTERS = {
    "Neon": "sslmode=require&channel_binding=require",
    "Neon, by endpoint": "sslmode=require&options=endpoint%3Dep-cool-1",
    "Supabase": "pgbouncer=true&connection_limit=1&supa=base-pooler.x",
    "Prisma": "schema=public&connection_limit=5&pool_timeout=10&statement_cache_size=0",
    "DigitalOcean": "sslmode=require",
    "Azure": "sslmode=require&target_session_attrs=read-write",
    "libpq": "connect_timeout=10&gssencmode=disable&keepalives=1&keepalives_idle=30&tcp_user_timeout=1000",
    "Cloud SQL": "host=/cloudsql/a:b:c",
    "node": "ssl=true&uselibpqcompat=true",
    "SQLAlchemy": "ssl=require&prepared_statement_cache_size=0",
}


@pytest.mark.parametrize("hoster", [name for name in HOSTERS if name != "Cloud SQL"])
def test_what_hosters_append_is_taken(hoster: str) -> None:
    assert store_url(f"postgresql://u:p@h/db?{HOSTERS[hoster]}")
    assert bus_url(f"postgresql://u:p@h/db?{HOSTERS[hoster]}")


@pytest.mark.parametrize("word", ["true", "1", "require"])
def test_tls_by_another_name_is_still_tls(word: str) -> None:
    assert postgres(f"postgresql://h/db?ssl={word}").line == {"sslmode": "require"}


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("foo=1", 'the option "foo"'),
        ("sslmode=require&hostaddr=10.0.0.1", 'the option "hostaddr"'),
        ("require_auth=scram-sha-256", "pg_hba.conf"),
        ("replication=database", 'the option "replication"'),
        ("gssencmode=require", "gssencmode after ? as one of disable, prefer"),
        ("sslmode=on", "sslmode after ? as one of disable, allow"),
        ("ssl=maybe", "sslmode after ? as one of"),
        ("target_session_attrs=standby", "target_session_attrs after ? as one of primary"),
        ("target_session_attrs=prefer-standby", "target_session_attrs after ? as one of primary"),
        ("port=x", "a port from 1 to 65535"),
        ("port=1,2,3", "one for each host"),
        ("sslnegotiation=direct", "sslmode=require or verify-full"),
        ("sslrootcert=system&sslmode=require", "sslmode=verify-full"),
        ("sslmode", "name=value"),
        ("ssl_min_protocol_version=1", "TLSv1.2"),
        # A name that may be the rest of a password is not told.
        (f"{SECRET}=1", "an unknown option"),
        (f"password=x&{SECRET}x=1", "an unknown option"),
        ("a=b%40c", "%40"),
    ],
)
def test_the_rest_is_refused_by_name(query: str, told: str) -> None:
    assert told in refusal(store_url, f"postgresql://h/db?{query}")
    assert told in refusal(bus_url, f"postgresql://h/db?{query}")


def test_the_systems_certificates_are_checked_in_full() -> None:
    assert postgres("postgresql://h/db?sslrootcert=system").line["sslmode"] == "verify-full"


@pytest.mark.parametrize("text", ["postgresql://", "postgresql:///db", "postgresql://u:p@/db"])
def test_the_bus_needs_a_host(text: str) -> None:
    assert store_url(text)
    assert refusal(bus_database, text) == "must name a host"


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://h:0/db",
        "postgresql://h:99999/db",
        f"postgresql://h:{SECRET}/db",
        "postgresql://a..b/db",
        f"postgresql://{'a' * 64}/db",
        "postgresql://bücher/db",
        "postgresql://[::1/db",
        "postgresql://[1]/db",
        "postgresql://a,,b/db",
        "postgresql://a b/db",
        "postgresql://h/d%00b",
        "postgresql://h/d%ffb",
        "postgresql://h/d\nb",
        "postgresql://h/db#x",
    ],
)
def test_no_database(text: str) -> None:
    refusal(store_url, text)


# ── brokers ───────────────────────────────────────────────────────────────────────────────────────────


def test_what_a_url_of_redis_says() -> None:
    found = redis("rediss://u:p%40@[::1]:1/2?ssl_cert_reqs=CERT_NONE&socket_timeout=5&client_name=pns")
    assert (found.tls, found.host, found.port) == (True, "::1", 1)
    assert (found.user, found.password, found.database) == ("u", "p@", 2)
    assert found.line == {"ssl_cert_reqs": "none", "client_name": "pns"}
    assert found.passed_over == ("socket_timeout",)
    assert redis("redis://h").database == 0
    assert redis("redis://h?db=3&username=u&password=p")[3:6] == ("u", "p", 3)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("redis://", "must name a host"),
        ("redis://a,b", "must name one host"),
        ("redis://%2Frun%2Fredis.sock", "not a socket"),
        (f"redis://h/{SECRET}", "the number of a database"),
        ("redis://h?db=x", "the number of a database"),
        ("redis://h?ssl=true", "write rediss:// for TLS"),
        ("redis://h?ssl_cert_reqs=none", "must start with rediss://"),
        ("rediss://h?ssl_cert_reqs=maybe", "ssl_cert_reqs after ? as one of none"),
        ("rediss://h?ssl_min_version=x", "ssl_min_version"),
        ("rediss://h?health_check_interval=x", "a number of seconds"),
        ("redis://h?sentinel=x", 'the option "sentinel"'),
        ("nats://h?tls=1", "takes no options"),
        ("nats://a:1,nats://b:2", "must name one host"),
        ("nats://a:1,b:2", "must name one host"),
        ("nats://h/a.b", "letters, digits, _ and -"),
    ],
)
def test_no_broker(text: str, told: str) -> None:
    assert told in refusal(bus_url, text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"mqtt://pns:{SECRET}@h", "set push.mqtt.username"),
        ("mqtt://h?x=1", "no query"),
        ("mqtts://h:x", "%3A"),
        ("mqtt://", "must name a host"),
        ("ws://h", "not with ws://"),
        ("ssl://h:8883", "here it is mqtts://"),
        ("h:1883", "must start with mqtt://"),
    ],
)
def test_no_mqtt_broker(text: str, told: str) -> None:
    assert told in refusal(mqtt_url, text)


def test_an_mqtt_broker() -> None:
    assert mqtt("mqtts://h") == ("h", 8883, True)
    assert device_url("wss://h:9001/mqtt") == "wss://h:9001/mqtt"


def test_files_and_nats_pass_nothing_over() -> None:
    assert passed_over("sqlite:///x") == passed_over("nats://h") == passed_over("local://") == ()
