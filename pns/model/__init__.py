"""The words of PNS as pure values: notification, device, push, ticket, timestamp, messages on the wire.

A line here checks, parses and formats values. It does no I/O, never waits, and reads no clock.
"""
