"""The JSON Schema of what Packshot's events say; `python -m packshot_cli.schemas` prints it.

events/schema/event-detail.schema.json is what it prints: consumers rely on it, and a test keeps it current.
"""

from __future__ import annotations

import json
import sys

from packshot.events import Detail


def event_detail_schema() -> str:
    """The schema of `detail`, the same for every detail-type: indented JSON text that ends in a line feed."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Detail.model_json_schema(mode="serialization"),
    }
    return json.dumps(schema, indent=2) + "\n"


if __name__ == "__main__":
    sys.stdout.write(event_detail_schema())
