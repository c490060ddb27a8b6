"""The store in an SQLite file: one connection that writes, further connections that read.

The files have the names of ../postgres, so that comparing the two folders shows each engine's own ways.
"""
