"""A load generator that costs little: hand-made HTTP/1.1 and WebSocket frames on asyncio protocols."""
