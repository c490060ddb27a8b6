"""Open connections: admission, conversation, counts to sockets, heartbeats and the list of devices present.

A line here may read the store and hear the bus. It never knows push, and never waits for a slow peer.
"""
