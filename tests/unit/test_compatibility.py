"""What was released is kept: every event of today is one that yesterday's consumers were made for."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from packshot_cli.schemas import DETAILS, SCHEMAS, slug
from tests.compatibility import breaks, closed

PROJECT = Path(__file__).parents[2]
RELEASED = PROJECT / "tests/contract/released"
# What is read, the scenes file, is as strict as can be.
TOLD = sorted(place for place in SCHEMAS if place.startswith("events/"))


def read(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def released(name: str) -> Any:
    return read(RELEASED / f"{name}.schema.json")


@pytest.mark.parametrize("file", sorted(RELEASED.glob("*.schema.json")), ids=lambda file: file.name)
def test_what_was_released_only_grows(file: Path) -> None:
    present = PROJECT / "events/schemas" / file.name
    assert present.is_file()
    assert breaks(read(file), read(present)) == []


def test_there_is_something_to_be_kept() -> None:
    assert len(list(RELEASED.glob("*.schema.json"))) >= 11


@pytest.mark.parametrize("file", sorted(RELEASED.glob("*.schema.json")), ids=lambda file: file.name)
def test_an_example_of_today_is_at_home_in_the_schema_of_the_last_release(file: Path) -> None:
    name = file.name.removesuffix(".schema.json")
    example = read(PROJECT / f"events/examples/{name}.json")
    Draft202012Validator(read(file)).validate(example)


@pytest.mark.parametrize("place", TOLD)
def test_no_schema_forbids_what_may_be_told_one_day(place: str) -> None:
    assert list(closed(read(PROJECT / place))) == []


@pytest.mark.parametrize("detail_type", DETAILS)
def test_every_event_says_its_version_and_its_id(detail_type: str) -> None:
    schema = read(PROJECT / f"events/schemas/{slug(detail_type)}.schema.json")
    _, _, name = schema["properties"]["detail"]["$ref"].rpartition("/")
    detail = schema["$defs"][name]
    assert {"id", "version"} <= set(detail["required"])
    assert detail["properties"]["version"]["const"] == "1"


# -- the comparison itself finds what breaks a consumer, and lets pass what does not --

COMPLETED = "photo-completed"


def completion(schema: Any) -> Any:
    return schema["$defs"]["CompletionDetail"]


def image(schema: Any) -> Any:
    return schema["$defs"]["CompletedImage"]


def _remove(schema: Any) -> None:
    del completion(schema)["properties"]["sku"]
    completion(schema)["required"].remove("sku")


def _rename_a_definition(schema: Any) -> None:
    schema["$defs"]["Picture"] = schema["$defs"].pop("CompletedImage")
    completion(schema)["properties"]["images"]["items"]["$ref"] = "#/$defs/Picture"


BREAKS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a property is gone": (_remove, "$.detail.sku: is gone"),
    "may be missing": (lambda s: completion(s)["required"].remove("order"), "$.detail.order: may be missing"),
    "the whole may be missing": (lambda s: s["required"].remove("detail"), "$.detail: may be missing"),
    "another type": (
        lambda s: image(s)["properties"]["bytes"].update(type="string"),
        "$.detail.images.items.bytes: type was integer, is string",
    ),
    "a wider type": (
        lambda s: image(s)["properties"]["bytes"].update(type="number"),
        "$.detail.images.items.bytes: type was integer, is number",
    ),
    "any type": (
        lambda s: image(s)["properties"]["key"].pop("type"),
        "$.detail.images.items.key: type was string, is None",
    ),
    "null too": (
        lambda s: completion(s)["properties"].update(
            manifest={"anyOf": [{"$ref": "#/$defs/ManifestPlace"}, {"type": "null"}]}
        ),
        "$.detail.manifest: type was object, is null",
    ),
    "one choice more": (
        lambda s: completion(s)["properties"]["sku"]["anyOf"].append({"type": "integer"}),
        "$.detail.sku: may be integer",
    ),
    "one value more": (
        lambda s: s["$defs"]["JobState"]["enum"].append("LOST"),
        "$.detail.failures.items.state: enum was",
    ),
    "another version": (
        lambda s: completion(s)["properties"]["version"].update(const="2"),
        "$.detail.version: const was 1, is 2",
    ),
    "any version": (
        lambda s: completion(s)["properties"]["version"].pop("const"),
        "$.detail.version: const was 1, is None",
    ),
    "a longer list": (
        lambda s: completion(s)["properties"]["images"].update(maxItems=21),
        "$.detail.images: maxItems was 20, is 21",
    ),
    "an endless list": (
        lambda s: completion(s)["properties"]["images"].pop("maxItems"),
        "$.detail.images: maxItems was 20, is None",
    ),
    "anything in a list": (
        lambda s: completion(s)["properties"]["images"].pop("items"),
        "$.detail.images: items was",
    ),
    "a smaller number": (
        lambda s: completion(s)["properties"]["images_count"].update(minimum=-1),
        "$.detail.images_count: minimum was 0, is -1",
    ),
    "another pattern": (
        lambda s: completion(s)["properties"]["id"].update(pattern="^[0-9a-f]+$"),
        "$.detail.id: pattern was",
    ),
}
GROWTH: dict[str, Callable[[Any], Any]] = {
    "nothing": lambda _: None,
    "a property more": lambda s: completion(s)["properties"].update(views={"type": "integer"}),
    "a property more that is always there": lambda s: (
        completion(s)["properties"].update(views={"type": "integer"}),
        completion(s)["required"].append("views"),
    ),
    "always there now": lambda s: image(s)["required"].append("sha256"),
    "never null now": lambda s: completion(s)["properties"].update(sku={"type": "string"}),
    "a value less": lambda s: s["$defs"]["JobState"]["enum"].remove("PLANNED"),
    "a value of those": lambda s: s["$defs"].update(JobState={"const": "FAILED", "type": "string"}),
    "a bound more": lambda s: image(s)["properties"]["key"].update(maxLength=1024),
    "a tighter bound": lambda s: completion(s)["properties"]["images"].update(maxItems=10),
    "other words": lambda s: image(s).update(description="Made of a photo.", title="Picture"),
    "another name for a definition": _rename_a_definition,
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_break_is_found_and_named(name: str) -> None:
    change, told = BREAKS[name]
    changed = deepcopy(released(COMPLETED))
    change(changed)
    found = breaks(released(COMPLETED), changed)
    assert any(line.startswith(told) for line in found), found


@pytest.mark.parametrize("name", GROWTH)
def test_growth_is_no_break(name: str) -> None:
    changed = deepcopy(released(COMPLETED))
    GROWTH[name](changed)
    assert breaks(released(COMPLETED), changed) == []


def test_any_manifest_entry_is_looked_at_too() -> None:
    changed = deepcopy(released("manifest"))
    changed["$defs"]["ManifestScene"]["required"].remove("state")
    assert breaks(released("manifest"), changed) == ["$.scenes.additionalProperties.state: may be missing"]
    changed["properties"]["scenes"]["additionalProperties"] = True
    assert breaks(released("manifest"), changed)[0].startswith("$.scenes: additionalProperties was")


def test_an_object_that_is_closed_is_found_wherever_it_is() -> None:
    assert list(closed({"$defs": {"A": {"additionalProperties": False}}})) == ["$.$defs.A"]
    assert list(closed({"anyOf": [{"unevaluatedProperties": False}]})) == ["$.anyOf[]"]
