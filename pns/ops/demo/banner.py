"""The text of a running `pns demo`: the address to open, and a few things to try."""

from __future__ import annotations

import typer


def banner(address: str, *, pns: str, key: str, embedded: bool) -> str:
    """The text for the terminal. `pns` is the address of PNS, and `key` an API key of PNS."""
    where = (
        f"inside the application, at {pns}"
        if embedded
        else f"beside it, at {pns}; it asks {address}/pns-auth who a device is"
    )
    return f"""
  {typer.style(" PNS demo ", reverse=True, bold=True)}

  Open  {typer.style(address, bold=True, underline=True)}
  PNS   {where}

  Try
    1. Log in as Alice. In a private window, or another browser, log in as Bob.
    2. Notify one from the other: the count is there before you look up.
    3. Open Alice a second time: both of her pages follow each other.
    4. In the bell, turn on "Notify me when this page is closed", close the page, and notify Alice again.
    5. Notify from a terminal, as an application would:

       curl {pns}/notify -H 'content-type: application/json' \\
         -H 'authorization: Bearer {key}' \\
         -d '{{"user_id": "alice", "notifications": [{{"notification_data": "Hello from curl"}}]}}'

  Ctrl-C ends {"it" if embedded else "both"}. Nothing is kept.
"""
