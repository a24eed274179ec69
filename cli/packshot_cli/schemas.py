"""The JSON Schemas of all that Packshot reads and tells, with an example of each event.

`python -m packshot_cli.schemas` writes them. Editors and consumers rely on these files; a test keeps them
current, another compares them with those of the last release.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, create_model
from pydantic.json_schema import JsonSchemaMode

from packshot.events import CompletionDetail, Detail, ScenesRejectedDetail
from packshot.manifest import Manifest
from packshot.scenes_file import ScenesFile
from packshot_cli.examples import EVENTS, MANIFEST, delivered

DETAILS: Mapping[str, type[BaseModel]] = {
    "Photo Completed": CompletionDetail,
    "Scene Generated": Detail,
    "Scene Failed": Detail,
    "Scene Superseded": Detail,
    "Scene Parked": Detail,
    "Scene Uncertain": Detail,
    "Photo Rejected": Detail,
    "Scenes Rejected": ScenesRejectedDetail,
    "Submitting Paused": Detail,
    "Submitting Resumed": Detail,
}


class Delivered(BaseModel):
    """An event as EventBridge delivers it; ours are `source`, `detail-type` and `detail`."""

    version: str
    id: Annotated[str, Field(description="Of this delivery: `detail.id` is the one that tells repetitions.")]
    source: Literal["packshot"]
    account: str
    time: datetime
    region: str
    resources: list[str]


def slug(detail_type: str) -> str:
    """What an event is called in the names of files."""
    return detail_type.lower().replace(" ", "-")


def event_model(detail_type: str, detail: type[BaseModel]) -> type[BaseModel]:
    """The model of a whole event of that type."""
    named: Any = Field(alias="detail-type", json_schema_extra={"const": detail_type})
    return create_model(
        detail_type,
        __base__=Delivered,
        __doc__=Delivered.__doc__,
        detail_type=(str, named),
        detail=(detail, ...),
    )


# Each by its place in the project; what is read is described as it may be written, the rest as it is told.
SCHEMAS: Mapping[str, tuple[type[BaseModel], JsonSchemaMode]] = {
    "docs/scenes.schema.json": (ScenesFile, "validation"),
    "events/schemas/manifest.schema.json": (Manifest, "serialization"),
    **{
        f"events/schemas/{slug(detail_type)}.schema.json": (event_model(detail_type, detail), "serialization")
        for detail_type, detail in DETAILS.items()
    },
}


def schema_text(model: type[BaseModel], mode: JsonSchemaMode) -> str:
    """The schema of a model: indented JSON text that ends in a line feed."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **model.model_json_schema(mode=mode),
    }
    return json.dumps(schema, indent=2) + "\n"


def scenes_schema() -> str:
    """The schema of scenes files."""
    return schema_text(*SCHEMAS["docs/scenes.schema.json"])


def example_texts() -> dict[str, str]:
    """An example of each event and of a manifest, by its place in the project."""
    return {
        "events/examples/manifest.json": MANIFEST.model_dump_json(indent=2) + "\n",
        **{
            f"events/examples/{slug(event.detail_type)}.json": json.dumps(delivered(event), indent=2) + "\n"
            for event in EVENTS
        },
    }


def write_schemas(project: Path) -> None:
    """Write them all to their places in a project folder."""
    texts = {place: schema_text(*described) for place, described in SCHEMAS.items()}
    for place, text in {**texts, **example_texts()}.items():
        (project / place).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_schemas(Path())
