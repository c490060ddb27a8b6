"""A fleet on paper: how its work grows with nodes, users and the layout of the bus, and what breaks first.

Two ways to the same figures: formulas (fleet.py, layout.py) and a seeded draw of real placements (draw.py),
which tests hold together. limits.py has what is assumed of brokers, stores and nodes. Nothing is measured.
"""
