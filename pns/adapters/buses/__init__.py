"""The buses: hints between nodes, in the process (`local`) or over Redis, NATS or PostgreSQL (`signal_bus`).

A hint names users and carries no notification. A line here may lose a hint, and must never hold up a caller.
"""
