"""The ground under everything: clock, background loops, metrics, shielded work, and log text.

A line here may import errors and the standard library. It knows no notification, no user and no setting.
"""
