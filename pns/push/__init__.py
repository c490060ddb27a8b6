"""Closed connections: devices at push networks, the outbox, and the dispatcher that sends due pushes.

A line here may use the outbox and the gateways through their contracts. The room never knows live.
"""
