"""Everything that an operator or developer starts: the commands, the server, the demo and the fleet.

A line here may import every room but the adapters. No other room imports ops, except pns.testing.
"""
