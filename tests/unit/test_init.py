"""`packshot init`: a starter set that is valid, never in the place of what somebody wrote."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner, Result

from packshot.photo import is_photo_key
from packshot.scene import Scene
from packshot.scenes_file import ScenesFile, read_scenes_file
from packshot.staging import Layer, Root, StagedScene, stack_values, stage
from packshot_cli.init import SCHEMA_FILE, STARTER_FILE, starter_scenes
from packshot_cli.main import app
from packshot_cli.schemas import scenes_schema
from packshot_cli.trades import Trade

PROJECT = Path(__file__).parents[2]
ROOT = Root(stack_values(Scene(prompt="in a bright living room")), max_jobs=20)


def init(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["init", *arguments])


def written(folder: Path) -> ScenesFile:
    file = read_scenes_file("scenes.json", (folder / "scenes.json").read_bytes())
    assert isinstance(file, ScenesFile), file
    return file


def test_a_folder_that_is_not_there_gets_six_scenes_and_their_schema(tmp_path: Path) -> None:
    folder = tmp_path / "spring" / "photos"
    result = init(str(folder))
    assert result.exit_code == 0
    assert [name.partition("-")[0] for name in written(folder).scenes] == list(Trade)
    assert (folder / "_scenes.schema.json").read_text(encoding="utf-8") == scenes_schema()
    assert {path.name for path in folder.iterdir()} == {"scenes.json", SCHEMA_FILE}
    assert f"packshot explain {folder}" in result.stdout
    assert "Each photo makes 6 images, about $0.53" in result.stdout


def test_the_schema_is_found_by_editors_and_passed_over_by_packshot(tmp_path: Path) -> None:
    init(str(tmp_path))
    document = json.loads((tmp_path / "scenes.json").read_text(encoding="utf-8"))
    assert document["$schema"] == f"./{SCHEMA_FILE}"
    assert not is_photo_key(SCHEMA_FILE)
    schema = json.loads((tmp_path / SCHEMA_FILE).read_text(encoding="utf-8"))
    Draft202012Validator(schema).validate(document)


def test_only_the_trades_that_are_asked_for(tmp_path: Path) -> None:
    result = init(str(tmp_path), "--for", "jewellery", "--for", "food")
    assert result.exit_code == 0
    assert [name.partition("-")[0] for name in written(tmp_path).scenes] == ["food", "jewellery"]
    assert "2 scenes: food-table, jewellery-velvet" in result.stdout


def test_a_trade_that_is_unknown_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    result = init(str(tmp_path), "--for", "toys")
    assert result.exit_code == 2
    assert not list(tmp_path.iterdir())


def test_what_somebody_wrote_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "scenes.json").write_text("mine", encoding="utf-8")
    result = init(str(tmp_path))
    assert result.exit_code == 1
    assert result.stderr == f"{tmp_path / 'scenes.json'} is there already: nothing was changed\n"
    assert [(path.name, path.read_text(encoding="utf-8")) for path in tmp_path.iterdir()] == [
        ("scenes.json", "mine")
    ]


def test_a_folder_that_cannot_be_made_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    result = init(str(tmp_path / "file" / "folder"))
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "cannot be written: Not a directory" in result.stderr


def test_a_folder_with_a_space_in_its_name_can_be_copied_from_what_is_told(tmp_path: Path) -> None:
    assert f"packshot explain '{tmp_path / 'my photos'}'" in init(str(tmp_path / "my photos")).stdout


# -- the starter set --


def staged(trade: Trade, metadata: dict[str, str]) -> StagedScene:
    file = read_scenes_file("scenes.json", json.dumps(starter_scenes([trade])).encode())
    assert isinstance(file, ScenesFile), file
    (scene,) = stage("sofa.jpg", None, ROOT, [Layer("scenes.json", file)], metadata)
    assert isinstance(scene, StagedScene), scene
    return scene


@pytest.mark.parametrize("trade", Trade)
def test_a_starter_scene_is_for_the_product_and_leaves_it_as_it_is(trade: Trade) -> None:
    scene = staged(trade, {"packshot-var-product": "three-legged widget"})
    assert scene.name.startswith(f"{trade}-")
    prompt = scene.values["prompt"].value
    assert "the three-legged widget" in prompt
    assert "{" not in prompt
    for word in ("shape", "colour", "label", "logo"):
        assert word in prompt.partition("Keep the product exactly as it is")[2]
    for word in ("light", " mm ", "Photographed"):
        assert word in prompt
    assert scene.values["aspect_ratio"].value != "match_input_image"
    assert scene.scene({}).prompt == prompt


def test_the_starter_set_is_valid_as_it_lies_there_and_comes_with_the_package() -> None:
    text = (PROJECT / "cli/packshot_cli" / STARTER_FILE).read_bytes()
    assert isinstance(read_scenes_file("scenes.json", text), ScenesFile)
    Draft202012Validator(json.loads(scenes_schema())).validate(json.loads(text))
    assert starter_scenes(list(Trade)) == json.loads(text)
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["packshot_cli"]
    assert any(Path(STARTER_FILE).match(pattern) for pattern in patterns)
