"""The role of a node: its share of the work of a fleet."""

from __future__ import annotations

from typing import Literal

Role = Literal["all", "web", "push"]
"""web: connections and calls; push: sending to push networks; all: both."""
