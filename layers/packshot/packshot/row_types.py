"""Types of what stands in rows, for pydantic's models."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import PlainSerializer

from packshot.moments import iso

Moment = Annotated[datetime, PlainSerializer(iso, return_type=str, when_used="json")]
