"""The public schema of AsyncAPI 3.0, from its own package; fetched once, then kept in node_modules."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "node_modules" / ".asyncapi"
PACKAGE = "@asyncapi/specs@6.11.1"
_SCHEMA = FOLDER / "node_modules" / "@asyncapi" / "specs" / "schemas" / "3.0.0.json"


def public_schema() -> dict[str, Any]:
    """The JSON Schema (draft 7) that every AsyncAPI 3.0 document must fit."""
    if not _SCHEMA.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        options = ("--no-save", "--no-audit", "--no-fund", "--ignore-scripts")
        subprocess.run(
            ["npm", "install", *options, "--prefix", str(FOLDER), PACKAGE], check=True, capture_output=True
        )
    schema: dict[str, Any] = json.loads(_SCHEMA.read_text())
    return schema
