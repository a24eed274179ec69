"""The JSON Schemas of all that Packshot reads and tells; `python -m packshot_cli.schemas` writes them.

Editors and consumers rely on these files, and a test keeps them current.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode

from packshot.events import CompletionDetail, Detail, ScenesRejectedDetail
from packshot.manifest import Manifest
from packshot.scenes_file import ScenesFile

# Each by its place in the project; what is read is described as it may be written, the rest as it is told.
SCHEMAS: Mapping[str, tuple[type[BaseModel], JsonSchemaMode]] = {
    "docs/scenes.schema.json": (ScenesFile, "validation"),
    "events/schema/event-detail.schema.json": (Detail, "serialization"),
    "events/schema/photo-completed.schema.json": (CompletionDetail, "serialization"),
    "events/schema/scenes-rejected.schema.json": (ScenesRejectedDetail, "serialization"),
    "events/schema/manifest.schema.json": (Manifest, "serialization"),
}


def schema_text(model: type[BaseModel], mode: JsonSchemaMode) -> str:
    """The schema of a model: indented JSON text that ends in a line feed."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **model.model_json_schema(mode=mode),
    }
    return json.dumps(schema, indent=2) + "\n"


def event_detail_schema() -> str:
    """The schema of the `detail` of every event about a job."""
    return schema_text(*SCHEMAS["events/schema/event-detail.schema.json"])


def scenes_schema() -> str:
    """The schema of scenes files."""
    return schema_text(*SCHEMAS["docs/scenes.schema.json"])


def write_schemas(project: Path) -> None:
    """Write them all to their places in a project folder."""
    for place, (model, mode) in SCHEMAS.items():
        (project / place).write_text(schema_text(model, mode), encoding="utf-8")


if __name__ == "__main__":
    write_schemas(Path())
