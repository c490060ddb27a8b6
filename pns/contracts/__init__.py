"""The Protocols between engine and adapters: store, outbox, audiences, archive, bus, gateway, authority.

A contract's docstring is its specification: every implementation keeps it, and its test suite proves it. A
line here may import errors, runtime, settings and model, and no third-party library of an adapter.
"""
