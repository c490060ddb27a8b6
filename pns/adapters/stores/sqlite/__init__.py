"""The store in an SQLite file: one connection writes, further connections read.

The files have the names of ../postgres. A comparison of the two folders shows each engine's own ways.
"""
