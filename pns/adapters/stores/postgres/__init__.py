"""The store in a PostgreSQL database, shared by all nodes of a fleet.

The files have the names of ../sqlite, so that comparing the two folders shows each engine's own ways.
"""
