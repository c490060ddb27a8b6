"""A single trial of a broker: does it carry a message? The trial needs nothing of SignalBus."""

from __future__ import annotations

import asyncio
import secrets

from pns.adapters.buses.wire import Wire, WireError


async def trouble(wire: Wire, *, seconds: float) -> str:
    """Why a message from `wire` to itself did not come back in time; empty when it came back. Nodes ignore
    the message.
    """
    channel, back = f"trial-{secrets.token_hex(8)}", asyncio.Event()
    found = ""
    try:
        async with asyncio.timeout(seconds):
            await wire.connect(lambda heard, text: back.set() if heard == channel else None)
            async with asyncio.TaskGroup() as tasks:
                listening = tasks.create_task(wire.listen())
                await wire.subscribe([channel])
                await wire.publish([(channel, "")])
                await back.wait()
                listening.cancel()
    except* TimeoutError:
        found = f"nothing came back within {seconds:g} s"
    except* WireError as errors:
        found = str(errors.exceptions[0])
    finally:
        await wire.close()
    return found
