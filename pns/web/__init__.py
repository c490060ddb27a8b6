"""The HTTP edge: each endpoint stands in a file named after its path.

A line here translates between HTTP and inbox, live and push: it reads a request, calls once, and writes the
answer. The rules of notifications and devices stand in those rooms, not here.
"""
