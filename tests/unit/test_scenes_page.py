"""docs/scenes.md tells the truth: its files are valid, and each of its tables is what the code does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from packshot.paths import DEFAULT_PATH_TEMPLATE, image_key
from packshot.scene import ASPECT_RATIOS, IMAGE_FORMATS, MAX_PROMPT_CHARACTERS, MAX_URL_CHARACTERS, Scene
from packshot.scenes_file import (
    MAX_FILE_BYTES,
    MAX_MISTAKES,
    PARAMETERS,
    Mistake,
    ScenesFile,
    read_scenes_file,
    told,
)
from packshot.settings import MAX_JOBS
from packshot.staging import (
    Layer,
    Root,
    StagedScene,
    governing_keys,
    governing_layers,
    ignored_by,
    stack_values,
    stage,
)
from packshot_cli.schemas import scenes_schema
from tests.unit.fakes import a_photo

PAGE = (Path(__file__).parents[2] / "docs" / "scenes.md").read_text(encoding="utf-8")
ROOT = Root(stack_values(Scene(prompt="Place the product in a bright living room", quality=95)), max_jobs=20)
FOLDER = "catalog/sofas"


def blocks() -> list[str]:
    return re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def files_of_the_example() -> dict[str, str]:
    return dict(re.findall(r"^\*\*`([^`]+)`\*\*.*?^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))


def rows(first_heading: str) -> list[list[str]]:
    """The cells of the table with that first heading, as they are written."""
    lines = iter(PAGE.splitlines())
    next(line for line in lines if line.startswith(f"| {first_heading} |"))
    next(lines)
    found = []
    for line in lines:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in line[1:-1].split("|")])
    return found


def codes(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def read(key: str, text: str) -> ScenesFile:
    file = read_scenes_file(key, text.encode())
    assert isinstance(file, ScenesFile), told(file)
    return file


def staged(photo: str, files: dict[str, str], metadata: dict[str, str]) -> dict[str, StagedScene]:
    layers = governing_layers(
        governing_keys(photo), lambda key: read(key, files[key]) if key in files else None
    )
    if ignored_by(photo, layers):
        return {}
    scenes = stage(photo, None, ROOT, layers, metadata)
    return {each.name: each for each in scenes if isinstance(each, StagedScene)}


@pytest.mark.parametrize("block", blocks())
def test_every_file_on_the_page_is_valid(block: str) -> None:
    Draft202012Validator(json.loads(scenes_schema())).validate(json.loads(block))
    read("scenes.json", block)


def test_the_page_has_files_and_an_example_of_three() -> None:
    assert len(blocks()) == 5
    assert list(files_of_the_example()) == [
        "scenes.json",
        "catalog/sofas/scenes.json",
        "catalog/sofas/turin.jpg.scenes.json",
    ]


def test_the_first_files_become_what_the_page_says() -> None:
    first, variations = blocks()[:2]
    assert list(staged("sofa.jpg", {"scenes.json": first}, {})) == ["beach", "studio"]
    seeds = {
        name: each.values["seed"].value
        for name, each in staged("sofa.jpg", {"scenes.json": variations}, {}).items()
    }
    assert seeds == {"beach-1": 40, "beach-2": 41, "beach-3": 42, "forest": None}


def test_the_example_becomes_what_its_table_says() -> None:
    files = files_of_the_example()
    told_rows = rows("photo")
    made: list[list[str]] = []
    for photo in dict.fromkeys(codes(row[0])[0] for row in told_rows):
        listed = f"^{re.escape(photo)}(?: +with the metadata (packshot-\\S+)=(\\S+))?$"
        found = re.search(listed, PAGE, re.MULTILINE)
        assert found, photo
        metadata = {found[1]: found[2]} if found[1] else {}
        scenes = staged(photo, files, metadata)
        if not scenes:
            made.append([f"`{photo}`", "none", *[""] * 5])
        for name, each in scenes.items():
            values = {parameter: value.value for parameter, value in each.values.items()}
            (prompt,) = {
                row[2] for row in told_rows if values["prompt"].startswith(row[2].rstrip("…")) and row[2]
            }
            path = image_key(DEFAULT_PATH_TEMPLATE, a_photo(photo), name, values["image_format"])
            made.append(
                [
                    f"`{photo}`",
                    f"`{path}`",
                    prompt,
                    values["aspect_ratio"],
                    str(values["quality"]),
                    "drawn" if values["seed"] is None else str(values["seed"]),
                    f"`{values['image_2']}`" if values["image_2"] else "none",
                ]
            )
    assert sorted(made) == sorted(told_rows)


def test_the_tables_of_names_are_complete() -> None:
    names = [row[:2] for row in rows("name | in metadata")]
    assert names == [[f"`{name}`", f"`packshot-{name.replace('_', '-')}`"] for name in PARAMETERS]
    fields = [field.alias or name for name, field in ScenesFile.model_fields.items()]
    assert [codes(row[0])[0] for row in rows("name | what")] == fields
    values = {codes(row[0])[0]: codes(row[3]) for row in rows("name | in metadata")}
    assert values["aspect_ratio"] == list(ASPECT_RATIOS)
    assert values["image_format"] == list(IMAGE_FORMATS)


@pytest.mark.parametrize("row", rows("in `sofas/scenes.json`"), ids=lambda row: str(row[0])[:50])
def test_a_mistake_is_told_in_the_words_of_the_page(row: list[str]) -> None:
    (text,), (message,) = map(codes, row)
    file = read_scenes_file("sofas/scenes.json", text.encode())
    mistakes: Any = file
    if isinstance(file, ScenesFile):
        mistakes = stage("sofas/oslo.jpg", None, ROOT, [Layer("sofas/scenes.json", file)], {})
    (mistake,) = mistakes
    assert isinstance(mistake, Mistake)
    assert str(mistake) == f"sofas/scenes.json: {message}"


@pytest.mark.parametrize("row", rows("pattern"), ids=lambda row: str(row[0]))
def test_a_pattern_passes_over_what_the_page_says(row: list[str]) -> None:
    ((pattern,), passed_over, others) = map(codes, row)
    layers = [Layer(f"{FOLDER}/scenes.json", ScenesFile(ignore=[pattern]))]
    assert [key for key in passed_over + others if ignored_by(key, layers)] == passed_over
    assert passed_over
    assert others


@pytest.mark.parametrize("row", rows("written"), ids=lambda row: str(row[0]))
def test_a_key_means_what_the_page_says(row: list[str]) -> None:
    (written,), (key, *_) = map(codes, row)
    file = json.dumps({"defaults": {"image_2": written}})
    (scene,) = staged(f"{FOLDER}/oslo.jpg", {f"{FOLDER}/scenes.json": file}, {}).values()
    assert scene.references == {"image_2": key}


@pytest.mark.parametrize("row", rows("sent"), ids=lambda row: str(row[0]))
def test_metadata_arrive_as_the_page_says(row: list[str]) -> None:
    (sent,) = codes(row[0])
    (scene,) = staged("sofa.jpg", {}, {"packshot-prompt": sent}).values()
    assert scene.values["prompt"].value == row[1]


def test_the_bounds_are_those_of_the_code() -> None:
    schema = json.loads(scenes_schema())
    fields, scene = schema["properties"], schema["$defs"]["SceneEntry"]["properties"]
    (variable,) = fields["variables"]["patternProperties"].values()
    counts = {
        fields["scenes"]["maxProperties"],
        fields["variables"]["maxProperties"],
        fields["ignore"]["maxItems"],
    }
    assert counts == {100}
    assert dict(rows("what | at most")) == {
        "a scenes file": f"{MAX_FILE_BYTES // 1024} KB, UTF-8",
        "scenes, variables and patterns in a file": "100 each",
        "variations of a scene": str(scene["variations"]["maximum"]),
        "images of a photo": f"`MaxJobsPerPhoto`: 20, up to {MAX_JOBS}",
        "a prompt, its placeholders filled": f"{MAX_PROMPT_CHARACTERS:,} characters",
        "the value of a variable": f"{variable['maxLength']:,} characters",
        "a URL": f"{MAX_URL_CHARACTERS:,} characters",
        "a name": "64 characters",
        "a pattern": f"{fields['ignore']['items']['maxLength']} characters",
        "mistakes that are told at once": str(MAX_MISTAKES),
    }
    assert "{0,63}" in "".join(fields["scenes"]["patternProperties"])
