"""Times as rows, events and the workflow write them."""

from __future__ import annotations

from datetime import UTC, datetime


def iso(moment: datetime) -> str:
    """A time as rows and the workflow write it: ISO 8601, UTC, with microseconds, so it orders as text."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
