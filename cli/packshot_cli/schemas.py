"""The JSON Schema of what Packshot's events say, written to standard output: `python -m packshot_cli.schemas`.

events/schema/event-detail.schema.json is what this prints; consumers may rely on it, and a test keeps it current.
"""

from __future__ import annotations

import json
import sys

from packshot.events import Detail


def event_detail_schema() -> str:
    """The schema of `detail`, the same for every detail-type, as indented JSON text with a line feed at its end."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Detail.model_json_schema(mode="serialization"),
    }
    return json.dumps(schema, indent=2) + "\n"


if __name__ == "__main__":
    sys.stdout.write(event_detail_schema())
