"""The ground under everything: clock, background loops, metrics, shielded work, and log text.

A line here may import errors, the standard library and prometheus-client. It knows no notification, no user
and no setting.
"""
