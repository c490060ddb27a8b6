"""The WebSockets of `pns serve`, without compression. An idle connection has no task, timer or request.

    frames.py     the bytes of RFC 6455, section 5: pure
    handshake.py  the bytes of its section 4: pure
    opening.py    Opening: the ASGI side of a connection, until the 101 or a refusal
    line.py       Line: the connection itself, as the event loop's protocol and as a Transport
    lines.py      Lines: everything that the lines of one server share, and their pings

With `server.compression` websocket_protocol.py serves in their place.
"""
