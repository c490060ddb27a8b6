"""Notifying inside the application's own transaction: a row in the application's own database, which `pns
forward` or an embedded PNS takes to PNS after the commit.
"""
