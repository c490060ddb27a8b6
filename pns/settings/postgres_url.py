"""The URL of a PostgreSQL database, for the store and for the bus, as asyncpg shall take it.

Hosters make such URLs for libpq, and ORMs for their own drivers. Each option is honoured, passed over, or
refused by its name. Raises ValueError as address.py does. Nothing is looked up or connected to.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

from pns.runtime.bracketed import bracketed
from pns.settings import options as option
from pns.settings.address import Address, Host, read, read_hosts, read_port

_PARTS = frozenset(("host", "port", "dbname", "database", "user", "password"))
_LINE = frozenset(
    (
        *("passfile", "service", "krbsrvname", "gsslib"),
        *("sslmode", "sslnegotiation", "sslcert", "sslkey", "sslpassword", "sslrootcert", "sslcrl"),
        *("ssl_min_protocol_version", "ssl_max_protocol_version"),
    )
)
"""What asyncpg itself reads."""
_SERVER = frozenset(
    (
        *("application_name", "options", "search_path", "role", "timezone", "datestyle", "jit", "work_mem"),
        *("statement_timeout", "lock_timeout", "idle_session_timeout", "idle_in_transaction_session_timeout"),
        *("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count"),
        *("extra_float_digits", "intervalstyle", "maintenance_work_mem", "log_statement"),
        *("default_transaction_isolation", "default_transaction_deferrable", "temp_buffers"),
    )
)
"""Settings of the session, which go to the server. So does each name with a dot."""
_CHOICES = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "sslnegotiation": ("postgres", "direct"),
    "gsslib": ("gssapi", "sspi"),
    "gssencmode": ("disable", "prefer"),
    "target_session_attrs": ("primary", "read-write", "any"),
    **dict.fromkeys(
        ("ssl_min_protocol_version", "ssl_max_protocol_version"), ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
    ),
}
_PASSED_OVER = frozenset(
    (
        # libpq's own. PNS has deadlines and probes of its own, speaks UTF-8, and goes to the one that writes.
        *("connect_timeout", "client_encoding", "fallback_application_name", "target_session_attrs"),
        *("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout"),
        *("channel_binding", "gssencmode", "gssdelegation", "sslcompression", "sslsni", "sslcertmode"),
        *("load_balance_hosts", "min_protocol_version", "max_protocol_version"),
        # Of pools, ORMs and hosters.
        *("pgbouncer", "schema", "currentschema", "connection_limit", "pool_timeout", "socket_timeout"),
        *("pool_size", "pool_mode", "max_overflow", "pool_recycle", "pool_pre_ping", "pool", "conn_max_age"),
        *("statement_cache_size", "prepared_statement_cache_size", "prepared_statements", "preparethreshold"),
        *("command_timeout", "timeout", "binary_parameters", "async_fallback", "uselibpqcompat"),
        *("supa", "workaround", "connecttimeout", "applicationname"),
        *("max_idle_connection_lifetime", "single_use_connections"),
    )
)
_TLS_WORDS = {"true": "require", "1": "require", "false": "disable", "0": "disable"}
"""As other drivers write after `ssl=`."""
_REMEDY = "; a setting of the session is written options=-c%20name%3Dvalue"
_DEFAULT_PORT = 5432


class PostgresURL(NamedTuple):
    """A database of PostgreSQL. asyncpg finds each empty value by itself, in PGHOST and the like.

    `line`: options of the connection itself, such as sslmode. `session`: settings for the server.
    """

    hosts: tuple[Host, ...]
    user: str
    password: str
    database: str
    line: Mapping[str, str]
    session: Mapping[str, str]
    passed_over: tuple[str, ...]

    @property
    def ports(self) -> tuple[int, ...]:
        """A port for each host; none where no host has a port of its own."""
        if any(host.port for host in self.hosts):
            return tuple(host.port or _DEFAULT_PORT for host in self.hosts)
        return ()

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of `asyncpg.connect`, to the first of the hosts that is writable.

        asyncpg never reads the URL itself: its errors would repeat pieces of a password.
        """
        line = dict(self.line)
        return {
            **_trust(line),
            "dsn": f"postgresql:///?{urlencode(line)}",
            "host": [host.name for host in self.hosts] or None,
            "port": list(self.ports) or None,
            "user": self.user or None,
            "password": self.password or None,
            "database": self.database or None,
            "server_settings": dict(self.session),
            "target_session_attrs": "primary",
        }

    @property
    def place(self) -> str:
        """Hosts and database, as an operator may read them: without user, password and options."""
        return f"{','.join(map(_shown, self.hosts)) or 'local'}/{self.database}"


def postgres(text: str) -> PostgresURL:
    """The database of a `postgresql://` URL."""
    parts = read(text, ("postgresql",))
    option.check_choices(parts.options, _CHOICES)
    session = _SERVER | {name.lower() for name in parts.options if "." in name}
    known = _PARTS | _LINE | session | {"ssl"}
    kept, passed_over = option.sort(parts.options, honoured=known, passed_over=_PASSED_OVER, remedy=_REMEDY)
    return PostgresURL(
        _hosts(parts, kept),
        parts.user or kept.get("user", ""),
        parts.password or kept.get("password", ""),
        parts.path or kept.get("dbname") or kept.get("database", ""),
        _line(kept),
        {name: value for name, value in kept.items() if name in session},
        passed_over,
    )


def bus_database(text: str) -> PostgresURL:
    """The same for the bus, whose URL must name a host."""
    url = postgres(text)
    if not url.hosts and "service" not in url.line:
        raise ValueError("must name a host")
    return url


def _hosts(parts: Address, kept: Mapping[str, str]) -> tuple[Host, ...]:
    hosts = parts.hosts or read_hosts(kept.get("host", ""))
    ports = [read_port(each) for each in kept["port"].split(",")] if "port" in kept else []
    if not ports:
        return hosts
    if not hosts:
        raise ValueError("must name a host beside the port after ?")
    if len(ports) not in (1, len(hosts)):
        raise ValueError("must have one port after ?, or one for each host")
    each = ports * len(hosts) if len(ports) == 1 else ports
    return tuple(Host(host.name, host.port or port) for host, port in zip(hosts, each, strict=True))


def _line(kept: Mapping[str, str]) -> Mapping[str, str]:
    line = {name: value for name, value in kept.items() if name in _LINE}
    if (word := kept.get("ssl")) is not None:
        line.setdefault("sslmode", _TLS_WORDS.get(word.lower(), word.lower()))
        option.check_choices(line, _CHOICES)
    if line.get("sslrootcert") == "system" and line.setdefault("sslmode", "verify-full") != "verify-full":
        raise ValueError("must have sslmode=verify-full after ? beside sslrootcert=system")
    if line.get("sslnegotiation") == "direct" and line.get("sslmode") not in (
        "require",
        "verify-ca",
        "verify-full",
    ):
        raise ValueError("must have sslmode=require or verify-full after ? beside sslnegotiation=direct")
    return line


def _trust(line: dict[str, str]) -> dict[str, ssl.SSLContext]:
    """libpq's `sslrootcert=system`, which asyncpg does not know: taken out of `line`."""
    if line.get("sslrootcert") != "system":
        return {}
    context = ssl.create_default_context()
    del line["sslrootcert"]
    if certificate := line.pop("sslcert", None):
        context.load_cert_chain(certificate, line.pop("sslkey", None), line.pop("sslpassword", ""))
    return {"ssl": context}


def _shown(host: Host) -> str:
    name = bracketed(host.name)
    return f"{name}:{host.port}" if host.port else name
