"""The text of a running `make fleet`: the address to open, and a few things to try."""

from __future__ import annotations

import typer

from pns.ops.fleet.nodes import Nodes


def banner(address: str, *, key: str, nodes: Nodes) -> str:
    """The text for the terminal. `address` is nginx's, and `key` an API key of every node."""
    where = ", ".join(f"{name} at {node.process.url}" for name, node in nodes.by_name.items())
    return f"""
  {typer.style(" PNS fleet ", reverse=True, bold=True)}

  Open  {typer.style(address, bold=True, underline=True)}
  PNS   {where}; nginx at {address}/pns

  Try
    1. Log in as Alice, and open {address}/fleet in two browsers.
    2. Notify through a node that does not hold your connection: the count is there.
    3. Kill the node that does: your connection comes back on another one, with the true count.
    4. The same from a terminal:

       curl {address}/pns/notify -H 'content-type: application/json' \\
         -H 'authorization: Bearer {key}' \\
         -d '{{"user_id": "alice", "notifications": [{{"notification_data": "Hello from curl"}}]}}'

  Ctrl-C ends all of it. Nothing is kept.
"""
