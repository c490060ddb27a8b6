"""Settings.load: where values come from, and that every mistake is one line without a secret in it."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec
import pytest
import rich.console
from msgspec import inspect

from pns.errors import SettingsError
from pns.settings import (
    FORWARD_HEADERS,
    AppSettings,
    AuthSettings,
    BusSettings,
    ServerSettings,
    SessionSettings,
    Settings,
    StoreSettings,
)

CANARY = "hunter2canary"

NEIGHBOURS = {
    "app.api_keys": f'["{CANARY}-key-0123456789"]',
    "session.secret": f'"{CANARY}"',
    "store.url": f'"postgresql://pns:{CANARY}@db/pns"',
    "bus.url": f'"redis://:{CANARY}@cache:6379"',
}
"""Secrets that stand in the same file as the mistake."""

WRONG: dict[type[inspect.Type], list[str]] = {
    inspect.IntType: [f'"{CANARY}"', "true", "1.5", "[1]", "{a = 1}", "-1", "0", "9" * 30, "1979-05-27"],
    inspect.FloatType: [f'"{CANARY}"', "true", "nan", "inf", "-1", "1e300", "9" * 400, "[1.0]", "{}"],
    inspect.BoolType: ["1", "0", '"true"', f'"{CANARY}"', "[true]", "{}", "07:32:00"],
    inspect.StrType: ["1", "true", "1.5", "1979-05-27", f'["{CANARY}"]', f'"{CANARY}\\u0007"', "{}"],
    inspect.LiteralType: ["1", "true", f'"{CANARY}"', f'["{CANARY}"]', '"LAX"', '""'],
    inspect.VarTupleType: [f'"{CANARY}"', "1", "[1]", "true", f'[["{CANARY}"]]', f'["{CANARY}\\n"]', "{}"],
}


def _keys(kind: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    for field in msgspec.structs.fields(kind):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from _keys(field.type, f"{at}{field.name}.")
        else:
            info = inspect.type_info(field.type)
            yield at + field.name, info.type if isinstance(info, inspect.Metadata) else info


KEYS = dict(_keys(Settings))


def _wrong_values() -> Iterator[tuple[str, str]]:
    for key, info in KEYS.items():
        for text in WRONG[type(info)]:
            yield key, text
        section, _, name = key.rpartition(".")
        yield f"{section}.{name}x", "1"
        yield f"{key}.more", f'"{CANARY}"'


IMPOSSIBLE = [
    ("server.host", ['""', '"a b"', '"[::1]"', '"http://a"']),
    ("server.port", ["70000", "65536", "0"]),
    ("server.allowed_origins", ['["*"]', '["https://*.a.example"]', '["null"]', '[""]', '["a.example"]']),
    ("server.allowed_origins", ['["https://a.example/"]', '["https://a.example/x"]', '["https://a?b"]']),
    ("server.allowed_origins", ['["https://u:hunter2canary@a.example"]', '["https://bücher.example"]']),
    ("server.allowed_origins", ['["https://a:65536"]', '["https://a:"]', '["https://\\u212Aa.example"]']),
    ("server.trusted_proxies", ['["*"]', '["proxy.local"]', '["10.0.0.1/8"]', '["10.0.0.0/33"]', '[""]']),
    ("auth.url", ['"a.example"', '"ftp://a"', '"http://"', '"http://u:hunter2canary@a/"', '"http://a:x"']),
    ("auth.url", ['"http://u@a/"', '"http://1:2@a/"', '"http://a@/"', '"http://a,b/"', '"http://a..b/"']),
    ("auth.url", ['"http://[x]/"', '"http://[::1/"', '"http://%2Fa/"', '"http:///a"', '"http://a?b@c#d"']),
    ("auth.url", ['"http://a/#x"', '"http://a b"', '"http://[::1"', '"/me"']),
    ("auth.method", ['"post"', '""', '"HEAD"', '"CONNECT"', '"GET /"']),
    ("auth.forward_headers", ['["connection"]', '["Host"]', '["content-length"]', '["x-forwarded-for"]']),
    ("auth.forward_headers", ['["accept-encoding"]', '["Accept"]', '["http2-settings"]', '["forwarded"]']),
    ("auth.forward_headers", ['["x-pns-device-id"]', '["te"]', '["a b"]', '["a:"]', '[""]', '["é"]']),
    ("auth.timeout_seconds", ["0", "61"]),
    ("app.api_keys", [f'["{CANARY}"]', f'["{CANARY} with spaces"]', f'["{CANARY}-ünïcödé"]', '[""]']),
    ("app.oauth2.jwks_url", ['"keys.json"']),
    ("session.cookie_name", ['""', '"a b"', '"a;b"', f'"{"a" * 65}"']),
    ("server.host", ['"a..b"', f'"{"a" * 64}"', '"1:2"', '"%2Fa"', '"-"']),
    ("store.url", ['""', f'"mysql://u:{CANARY}@h/d"', '"pns.db"', '"sqlite:pns.db"']),
    ("bus.url", ['""', f'"amqp://u:{CANARY}@h"', '"redis"']),
    ("limits.max_notification_bytes", ["131073"]),
    ("limits.max_body_bytes", ["131071"]),
]

MUTATIONS = [*_wrong_values(), *((key, text) for key, texts in IMPOSSIBLE for text in texts)]


def _write(tmp_path: Path, values: dict[str, str]) -> Path:
    path = tmp_path / "config.toml"
    path.write_text("".join(f"{key} = {text}\n" for key, text in values.items()), "utf-8")
    return path


def _refusal(path: Path | str | None, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(SettingsError) as caught:
        Settings.load(path, environ=environ or {})
    message = str(caught.value)
    assert message.isprintable(), "one line"
    assert CANARY not in message
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return message


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_there_are_enough_mistakes() -> None:
    assert len(set(MUTATIONS)) >= 300


@pytest.mark.parametrize("key", dict(MUTATIONS))
def test_a_mistake_is_one_line_with_file_and_key(tmp_path: Path, key: str) -> None:
    neighbours = {name: value for name, value in NEIGHBOURS.items() if not key.startswith(name)}
    for text in (text for mistaken, text in MUTATIONS if mistaken == key):
        path = _write(tmp_path, {**neighbours, key: text})

        message = _refusal(path)

        # A key below a key that is no table is a mistake of the upper one.
        assert message.startswith(f"{path}: {key.removesuffix('.more')}"), text


@pytest.mark.parametrize("key", KEYS)
def test_a_section_must_be_a_table(tmp_path: Path, key: str) -> None:
    section = key.rpartition(".")[0]
    message = _refusal(_write(tmp_path, {section: f'"{CANARY}"'}))
    assert message.endswith(f"{section} must be a table: [{section}]")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\xef\xbb\xbf[server]\n", "byte order mark"),
        ("[server]\n".encode("utf-16"), "line 1 is not UTF-8"),
        (b"[server]\nhost = '\xe9'\n", "line 2 is not UTF-8"),
        (b"secret = hunter2canary\n", "is not TOML at line 1, column 10"),
        (b"[session]\nsecret = 'hunter2canary\n", "is not TOML at end of document"),
        (b"[session]\nsecret = 'a'\nsecret = 'hunter2canary'\n", "is not TOML at line 3"),
        (b"[server]\n[server]\n", "is not TOML at line 2"),
        (b'[session]\nsecret = "hunter2canary\\q"\n', "is not TOML at line 2"),
        (b"a = " + b"[" * 5000, "is not TOML"),
        (b"[server]\nport = " + b"9" * 5000, "is not TOML"),
        (b"a = 2026-99-99", "is not TOML"),
        (b"\x00", "is not TOML at line 1"),
        (b'"\\u001b[31mred\\n" = 1', r"\x1b[31mred\n is not a setting"),
        (b"pages = 1", "pages is not a setting; there are server, auth,"),
        (b"[limits]\npages_size = 1", "limits.pages_size is not a setting; did you mean page_size?"),
    ],
)
def test_a_file_that_is_no_configuration(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "pns.toml"
    path.write_bytes(content)
    message = _refusal(path)
    assert message.startswith(f"{path}: ")
    assert says in message


def test_what_is_allowed_is_said(tmp_path: Path) -> None:
    def said(key: str, text: str) -> str:
        return _refusal(_write(tmp_path, {key: text})).partition(f"{key} ")[2]

    assert said("server.port", "0") == "must be an integer from 1 to 65535"
    assert said("server.heartbeat_seconds", "0") == "must be a number above 0 and up to 86400"
    assert said("server.compression", "1") == "must be true or false"
    assert said("session.same_site", '"Lax"') == 'must be one of "lax", "none", "strict"'
    assert said("auth.forward_headers", "1") == "must be a list of strings"
    assert said("push.azure.networks", '["android"]') == 'must be a list of "apns", "fcm"'
    assert said("session.secret", "1") == "must be a string"


def test_an_origin_with_a_slash_is_told_how_to_write_it(tmp_path: Path) -> None:
    texts = '["https://a.example", "https://b.example/"]'
    message = _refusal(_write(tmp_path, {"server.allowed_origins": texts}))
    assert message.endswith('server.allowed_origins[1] must not end in a slash: write "https://b.example"')


@pytest.mark.parametrize("text", ["*", "https://*.example", "https://app.example:*"])
def test_a_pattern_is_told_why_not(tmp_path: Path, text: str) -> None:
    message = _refusal(_write(tmp_path, {"server.allowed_origins": f'["{text}"]'}))
    assert "any page could read" in message


# ── keys that do not go together ──────────────────────────────────────────────────────────────────────


def test_oauth2_needs_issuer_and_audience(tmp_path: Path) -> None:
    path = _write(tmp_path, {"app.oauth2.issuer": '"https://id.example"'})
    assert _refusal(path) == f"{path}: app.oauth2.audience must be set where issuer is"
    path = _write(tmp_path, {"app.oauth2.jwks_url": '"https://id.example/keys"'})
    assert _refusal(path) == f"{path}: app.oauth2.issuer must be set where jwks_url is"
    environ = {"PNS_APP__OAUTH2__AUDIENCE": "pns"}
    _write(tmp_path, {})
    assert _refusal(None, environ).startswith("environment variable PNS_APP__OAUTH2__AUDIENCE: app.oauth2.is")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("proxy.internal:3128", "must start with http:// or https://"),
        ("socks5://proxy:1080", "must start with http:// or https://, not with socks5://"),
        ("http://", "must name a host"),
        ("http://proxy:0", "must have a port"),
        ("http://one,two:3128", "must name one host"),
        ("http://proxy/path", "must end after the host and the port"),
        ("http://proxy?x=1", "must end after the host and the port"),
        ("http://us%3Aer:pass@proxy", "must have a user without :"),
        ("http://user:p@ss@proxy:3128", "in the user and the password write @ as %40"),
        ("http://user:p/ss@proxy", "in the user and the password write @ as %40"),
        ("http://user:p#ss@proxy", "in the user and the password write @ as %40"),
        ("http://user:50%ss@proxy", "in the user and the password write @ as %40"),
    ],
)
def test_a_proxy_that_is_none_is_told_how_to_write_it(url: str, says: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.load(environ={"PNS_OUTBOUND__PROXY": url})
    told = str(refused.value)
    assert told.startswith("environment variable PNS_OUTBOUND__PROXY: outbound.proxy must ")
    assert says in told
    assert "ss@" not in told


def test_a_proxy_s_password_is_never_shown() -> None:
    settings = Settings.load(environ={"PNS_OUTBOUND__PROXY": "http://user:hidden@proxy:3128"})
    assert "hidden" not in repr(settings)
    assert settings.outbound.proxy == "http://user:hidden@proxy:3128"


@pytest.mark.parametrize("name", ["AUDIENCE_CLAIM", "SCOPE_CLAIM"])
@pytest.mark.parametrize("claim", ["", " ", "a b", "é"])
def test_the_name_of_a_claim(name: str, claim: str) -> None:
    with pytest.raises(SettingsError, match=r"must be the name of a claim of the token, such as"):
        Settings.load(environ={f"PNS_APP__OAUTH2__{name}": claim})


def test_a_body_must_hold_one_notification(tmp_path: Path) -> None:
    values = {"limits.max_body_bytes": "2000", "limits.max_notification_bytes": "1001"}
    assert "limits.max_body_bytes must be at least twice" in _refusal(_write(tmp_path, values))
    values["limits.max_notification_bytes"] = "1000"
    assert Settings.load(_write(tmp_path, values), environ={}).limits.max_body_bytes == 2000


# ── where the file is ─────────────────────────────────────────────────────────────────────────────────


def test_without_file_and_environment_it_is_the_defaults() -> None:
    assert Settings.load(environ={}) == Settings()


def test_the_file_is_the_argument_else_the_variable_else_config_toml(tmp_path: Path) -> None:
    for port in (1, 2, 3):
        (tmp_path / f"{port}.toml").write_text(f"server.port = {port}")
    (tmp_path / "3.toml").rename(tmp_path / "config.toml")
    environ = {"PNS_CONFIG": str(tmp_path / "2.toml")}

    assert Settings.load(tmp_path / "1.toml", environ=environ).server.port == 1
    assert Settings.load("1.toml", environ=environ).server.port == 1
    assert Settings.load(environ=environ).server.port == 2
    assert Settings.load(environ={"PNS_CONFIG": ""}).server.port == 3
    assert Settings.load(environ={}).server.port == 3


@pytest.mark.parametrize("name", ["gone.toml", ".", "", "gone\n\x1b.toml", "a\0b"])
def test_a_file_that_was_named_must_be_readable(name: str) -> None:
    assert "cannot be read" in _refusal(name)


def test_the_environments_file_must_be_readable() -> None:
    assert (
        _refusal(None, {"PNS_CONFIG": "gone.toml"}) == "gone.toml: cannot be read: No such file or directory"
    )


def test_the_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PNS_SERVER__PORT", "4242")
    assert Settings.load().server.port == 4242


# ── the environment ───────────────────────────────────────────────────────────────────────────────────


def _variable(key: str) -> str:
    return "PNS_" + key.upper().replace(".", "__")


def _text(key: str, settings: Settings) -> str:
    value: Any = settings
    for name in key.split("."):
        value = getattr(value, name)
    return ",".join(value) if isinstance(value, tuple) else str(value)


@pytest.mark.parametrize("key", KEYS)
def test_each_key_can_be_set_by_the_environment(tmp_path: Path, key: str) -> None:
    text = _text(key, Settings())
    if not text and key.startswith("app.oauth2"):
        text = "https://id.example"
    environ = {"PNS_APP__OAUTH2__ISSUER": "https://i", "PNS_APP__OAUTH2__AUDIENCE": "a", _variable(key): text}
    loaded = Settings.load(environ=environ)
    assert _text(key, loaded).removesuffix(".0") == text
    assert _refusal(None, {_variable(key): "\x07" + CANARY}).startswith(
        f"environment variable {_variable(key)}: {key}"
    )


def test_the_environment_wins_key_by_key(tmp_path: Path) -> None:
    path = _write(tmp_path, {"server.port": "1", "server.host": '"::"', "server.drain_seconds": "3"})
    server = Settings.load(path, environ={"PNS_SERVER__PORT": "2"}).server
    assert (server.port, server.host, server.drain_seconds) == (2, "::", 3)


def test_a_mistake_in_the_file_counts_under_the_environment(tmp_path: Path) -> None:
    path = _write(tmp_path, {"server.port": "0"})
    assert "server.port" in _refusal(path, {"PNS_SERVER__PORT": "2"})


def test_lists_are_comma_separated() -> None:
    environ = {
        "PNS_SERVER__ALLOWED_ORIGINS": " HTTPS://A.example:443 ,http://b:3000,",
        "PNS_AUTH__FORWARD_HEADERS": "Cookie,X-Tenant",
        "PNS_SERVER__TRUSTED_PROXIES": "10.0.0.0/8,::1",
    }
    settings = Settings.load(environ=environ)
    assert settings.server.allowed_origins == ("https://a.example", "http://b:3000")
    assert settings.auth.forward_headers == ("cookie", "x-tenant")
    assert settings.server.trusted_proxies == ("10.0.0.0/8", "::1")


def test_an_empty_list_is_an_empty_list() -> None:
    assert Settings().auth.forward_headers == FORWARD_HEADERS
    assert Settings.load(environ={"PNS_AUTH__FORWARD_HEADERS": ""}).auth.forward_headers == ()


@pytest.mark.parametrize("name", ["PNS_PORT", "PNS_PORT_8080_TCP", "PNS_SECRET", "PNS_", "PNSX__A", "X__Y"])
def test_names_without_the_double_underscore_are_not_ours(name: str) -> None:
    assert Settings.load(environ={name: CANARY}) == Settings()


@pytest.mark.parametrize(
    "name",
    [
        "PNS_SERVER__PROT",
        "PNS_server__port",
        "PNS_Store__URL",
        "PNS_APP__OAUTH2",
        "PNS_APP__OAUTH__ISSUER",
        "PNS_SERVER__PORT__X",
        "PNS_SERVER__",
        "PNS_BUS__\n\x1b",
    ],
)
def test_an_unknown_name_in_a_section_of_ours_is_a_mistake(name: str) -> None:
    message = _refusal(None, {name: CANARY})
    assert message.startswith(f"environment variable {name[:7]}")
    assert "is not a setting" in message


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("PNS_FOO__BAR", "PNS_FOO__BAR"),
        ("PNS_REDIS__MASTER_SERVICE_HOST", "PNS_REDIS__MASTER_SERVICE_HOST"),
        ("PNS_SERVER_1__PORT", "PNS_SERVER_1__PORT"),
        ("PNS__WEB_PORT_80_TCP_ADDR", "PNS__WEB_PORT_80_TCP_ADDR"),
        ("PNS__SERVER__PORT", "did you mean PNS_SERVER__PORT?"),
        ("PNS_SERVR__PORT", "did you mean PNS_SERVER__PORT?"),
        ("PNS_A__\n\x1b", r"PNS_A__\n\x1b"),
    ],
)
def test_a_name_of_no_section_is_another_programs(
    name: str, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    """As an orchestrator's service links are."""
    assert Settings.load(environ={name: CANARY}) == Settings()
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith(f"environment variable {name[:7]}")
    assert " is ignored: " in record.getMessage()
    assert told in record.getMessage()
    assert record.getMessage().isprintable()
    assert CANARY not in record.getMessage()


@pytest.mark.parametrize("text", ["", "abc", "80.5", " 80", "8_0", "0x50", "9" * 5000, "١٢", "-1", "\udc80"])
def test_a_variable_that_is_no_port(text: str) -> None:
    assert _refusal(None, {"PNS_SERVER__PORT": text}).endswith("must be an integer from 1 to 65535")


def test_an_unknown_name_is_told_a_near_one_or_where_to_look() -> None:
    assert _refusal(None, {"PNS_SERVER__PROT": "1"}).endswith("did you mean PNS_SERVER__PORT?")
    assert _refusal(None, {"PNS_SERVER__QQQQQQQQQQQQQQQQ": "1"}).endswith("config.toml lists every setting")


# ── what an --env-file leaves around a value ──────────────────────────────────────────────────────────

WRAPPED = ['"{}"', "'{}'", "`{}`", "“{}”", "„{}“", " '{}' ", "[{}]", '["{}"]', "['{}', 'b']"]
TEXTS = [key for key, info in KEYS.items() if isinstance(info, inspect.StrType)]
LISTS = [key for key, info in KEYS.items() if isinstance(info, inspect.VarTupleType)]


@pytest.mark.parametrize("key", [*TEXTS, *LISTS])
def test_a_value_with_its_quotes_is_refused(key: str) -> None:
    for form in WRAPPED:
        message = _refusal(None, {_variable(key): form.format(f"{CANARY}-0123456789")})
        assert message.startswith(f"environment variable {_variable(key)}: {key}")
        assert "must be the bare value, without quotes or brackets" in message


@pytest.mark.parametrize("key", TEXTS)
def test_in_the_file_too(tmp_path: Path, key: str) -> None:
    for form in ["\"'{}'\"", "'\"{}\"'", '"[{}]"']:
        assert "must be the bare value" in _refusal(_write(tmp_path, {key: form.format(CANARY)}))


def test_an_entry_of_a_list_too(tmp_path: Path) -> None:
    keys = f"""[ "{CANARY}-0123456789", "'{CANARY}-0123456789'" ]"""
    message = _refusal(_write(tmp_path, {"app.api_keys": keys}))
    assert "app.api_keys[1] must be the bare value" in message
    message = _refusal(None, {"PNS_APP__API_KEYS": f"{CANARY}-0123456789,'{CANARY}-0123456789'"})
    assert "app.api_keys[1] must be the bare value" in message


def test_numbers_and_choices_with_their_quotes_are_told_the_same() -> None:
    for name, text in (
        ("SERVER__PORT", '"8080"'),
        ("LOG__LEVEL", "'info'"),
        ("SERVER__COMPRESSION", '"true"'),
    ):
        assert "must be the bare value, without quotes" in _refusal(None, {f"PNS_{name}": text})


def test_quotes_within_a_value_are_its_own() -> None:
    for text in ('a"b', "'a", 'b"', "a[0]", "[a", '"', "O'Neil"):
        assert Settings.load(environ={"PNS_SESSION__SECRET": text}).session.secret == text


# ── secrets ───────────────────────────────────────────────────────────────────────────────────────────


def test_no_way_to_show_settings_shows_a_secret() -> None:
    settings = Settings(
        app=AppSettings(api_keys=(CANARY,)),
        session=SessionSettings(secret=CANARY),
        store=StoreSettings(url=f"postgresql://u:{CANARY}@/?x@db/pns?sslpassword={CANARY}"),
        bus=BusSettings(url=f"redis://:{CANARY}@cache"),
        auth=AuthSettings(url=f"https://app/me?token={CANARY}\n{CANARY}"),
        server=ServerSettings(host="seen"),
    )
    console = rich.console.Console(file=StringIO(), width=500)
    console.print(settings)
    for shown in (repr(settings), str(settings), f"{settings}", console.file.getvalue()):  # type: ignore[attr-defined]
        assert CANARY not in shown
        assert "host='seen'" in shown
        assert "'postgresql://***@db/pns?***'" in shown
        assert "url='https://app/me?***'" in shown
    assert CANARY not in repr([settings.app, settings.session, settings.store, settings.bus])


def test_what_is_not_set_is_shown_as_not_set() -> None:
    assert "secret=''" in repr(Settings())
    assert "'sqlite:///pns.db'" in repr(Settings())
