"""The implementations of the contracts, each around a single third-party library or server.

Only compose.py imports adapters. A folder here does not know the others: stores, buses, authorities,
gateways.
"""
