"""The work of the commands about push, on the store itself: beside a running server, or without a server."""
