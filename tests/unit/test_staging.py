"""How a photo is staged: which files have a say, what wins, and where each value comes from."""

from __future__ import annotations

import itertools
import json
import re
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from packshot.events import MAX_REASON_CHARACTERS
from packshot.job import JobState, Reason
from packshot.photo import MAX_KEY_BYTES, folder_of
from packshot.scene import MAX_SEED, MAX_URL_CHARACTERS, Scene, StoredImage
from packshot.scenes_file import (
    IGNORE_PATTERN,
    MAX_MISTAKES,
    PARAMETERS,
    Mistake,
    ScenesFile,
    read_scenes_file,
    told,
)
from packshot.staging import (
    METADATA,
    STACK,
    Layer,
    Root,
    Source,
    StagedScene,
    Value,
    governing_keys,
    governing_layers,
    ignored_by,
    stack_values,
    stage,
)
from tests.unit.fakes import a_job, a_photo
from tests.unit.hostile import kept, odd_texts

PHOTO = "catalog/shoes/red.jpg"
SIDECAR, NEAR, MIDDLE, TOP = (
    "catalog/shoes/red.jpg.scenes.json",
    "catalog/shoes/scenes.json",
    "catalog/scenes.json",
    "scenes.json",
)
ROOT = Root(stack_values(Scene(prompt="in a bright living room", quality=95)), max_jobs=20)


def layer(key: str, **fields: Any) -> Layer:
    file = read_scenes_file(key, json.dumps(fields).encode())
    assert isinstance(file, ScenesFile), told(file)
    return Layer(key, file)


def layers_of(files: Mapping[str, Mapping[str, Any]], photo: str = PHOTO) -> list[Layer]:
    read = {key: layer(key, **fields).file for key, fields in files.items()}
    return governing_layers(governing_keys(photo), read.get)


def try_to_stage(
    files: Mapping[str, Mapping[str, Any]],
    metadata: Mapping[str, str] | None = None,
    *,
    photo: str = PHOTO,
    sku: str | None = None,
    root: Root = ROOT,
) -> Sequence[StagedScene] | Sequence[Mistake]:
    return stage(photo, sku, root, layers_of(files, photo), metadata or {})


def staged(*arguments: Any, **options: Any) -> dict[str, StagedScene]:
    result = try_to_stage(*arguments, **options)
    scenes = {scene.name: scene for scene in result if isinstance(scene, StagedScene)}
    assert len(scenes) == len(result), result
    return scenes


def mistakes(*arguments: Any, **options: Any) -> list[tuple[str, str, str, str]]:
    result = try_to_stage(*arguments, **options)
    found = [(each.file, each.path, each.found, each.allowed) for each in result if isinstance(each, Mistake)]
    assert len(found) == len(result), result
    return found


def the(scenes: Mapping[str, StagedScene]) -> Mapping[str, Value]:
    (scene,) = scenes.values()
    return scene.values


# -- which files --


def test_the_files_that_may_have_a_say_the_strongest_first() -> None:
    assert governing_keys(PHOTO) == [SIDECAR, NEAR, MIDDLE, TOP]
    assert governing_keys("red.jpg") == ["red.jpg.scenes.json", "scenes.json"]


def test_those_that_may_not_be_read_have_none() -> None:
    assert governing_keys(PHOTO, "catalog/") == [SIDECAR, NEAR, MIDDLE]
    assert governing_keys(PHOTO, "catalog/sh") == [SIDECAR, NEAR]
    assert governing_keys(PHOTO, "catalog/shoes/red") == [SIDECAR]


def test_the_nearest_one_stands_alone_and_those_above_are_not_even_read() -> None:
    read: list[str] = []

    def reader(key: str) -> ScenesFile | None:
        read.append(key)
        return ScenesFile() if key == NEAR else None

    assert [found.key for found in governing_layers(governing_keys(PHOTO), reader)] == [NEAR]
    assert read == [SIDECAR, NEAR]


@pytest.mark.parametrize(
    ("inheriting", "reading"),
    [
        ([], [SIDECAR]),
        ([SIDECAR], [SIDECAR, NEAR]),
        ([NEAR], [SIDECAR]),
        ([SIDECAR, NEAR], [SIDECAR, NEAR, MIDDLE]),
        ([SIDECAR, NEAR, MIDDLE], [SIDECAR, NEAR, MIDDLE, TOP]),
        ([SIDECAR, NEAR, MIDDLE, TOP], [SIDECAR, NEAR, MIDDLE, TOP]),
    ],
)
def test_each_adds_to_the_one_above_only_as_long_as_each_says_so(
    inheriting: list[str], reading: list[str]
) -> None:
    files = {key: {"inherit": key in inheriting} for key in (SIDECAR, NEAR, MIDDLE, TOP)}
    assert [found.key for found in layers_of(files)] == reading


def test_an_inheriting_file_adds_to_the_next_one_that_there_is() -> None:
    files = {SIDECAR: {"inherit": True}, TOP: {}}
    assert [found.key for found in layers_of(files)] == [SIDECAR, TOP]


# -- what wins --

# A value of every parameter for each level, the weakest first.
LEVELS: dict[str, list[Any]] = {
    "prompt": ["on a beach", "in a forest", "in a studio", "on a roof"],
    "image_2": ["https://cdn.example/1.png", "https://cdn.example/2.png", None, "https://cdn.example/4.png"],
    "image_3": ["https://cdn.example/1.png", None, "https://cdn.example/3.png", "https://cdn.example/4.png"],
    "aspect_ratio": ["1:1", "2:3", "3:2", "3:4"],
    "image_format": ["jpeg", "png", "webp", "jpeg"],
    "quality": [1, 2, 3, 4],
    "seed": [1, 2, None, 4],
    "base64": [True, False, True, False],
    "lora": ["product_photography"] * 4,
    "lora_2_url": ["https://l.example/1", "https://l.example/2", None, "https://l.example/4"],
    "lora_3_url": ["https://l.example/1", None, "https://l.example/3", "https://l.example/4"],
}
NAMES = ("folder", "sidecar defaults", "sidecar scene", "metadata")


def test_the_levels_have_every_parameter() -> None:
    assert set(LEVELS) == set(PARAMETERS)


def as_text(value: Any) -> str:
    return quote(json.dumps(value) if isinstance(value, bool) else str(value))


@pytest.mark.parametrize("parameter", LEVELS)
@pytest.mark.parametrize("levels", list(itertools.product([False, True], repeat=4)), ids=str)
def test_for_each_parameter_the_strongest_level_wins_and_is_its_source(
    parameter: str, levels: tuple[bool, ...]
) -> None:
    """Stack, folder, the photo's own file (defaults, then scene), metadata."""
    values = LEVELS[parameter]
    saying: list[dict[str, Any]] = [
        {parameter: value} if speaks else {} for value, speaks in zip(values, levels, strict=True)
    ]
    folder, defaults, scene, metadata = saying
    field = "packshot-" + parameter.replace("_", "-")
    value = the(
        staged(
            {
                NEAR: {"defaults": folder},
                SIDECAR: {"inherit": True, "defaults": defaults, "scenes": {"beach": scene}},
            },
            {field: as_text(metadata[parameter])} if metadata else {},
        )
    )[parameter]
    sources = [
        Source(NEAR, f"$.defaults.{parameter}", "catalog/shoes"),
        Source(SIDECAR, f"$.defaults.{parameter}", "catalog/shoes"),
        Source(SIDECAR, f"$.scenes.beach.{parameter}", "catalog/shoes"),
        Source(METADATA, field, "catalog/shoes"),
    ]
    strongest = max((number for number, speaks in enumerate(levels) if speaks), default=None)
    if strongest is None:
        assert value == ROOT.values[parameter]
        assert value.source.file == STACK
    else:
        assert value == Value(values[strongest], sources[strongest])


def test_the_stacks_values_have_the_names_of_its_parameters() -> None:
    names = {value.source.path for value in ROOT.values.values()}
    assert names == {
        "ScenePrompt",
        "SceneImage2",
        "SceneImage3",
        "SceneAspectRatio",
        "SceneImageFormat",
        "SceneQuality",
        "SceneSeed",
        "SceneBase64",
        "SceneLora",
        "SceneLora2Url",
        "SceneLora3Url",
    }


def test_without_any_file_the_one_scene_is_called_default() -> None:
    assert list(staged({})) == ["default"]
    assert list(staged({NEAR: {"defaults": {"quality": 80}}})) == ["default"]


def test_scenes_are_added_to_those_above_by_name_and_one_of_the_same_name_is_replaced_whole() -> None:
    scenes = staged(
        {
            TOP: {
                "scenes": {"beach": {"prompt": "on a beach", "quality": 10}, "forest": {"prompt": "in it"}}
            },
            NEAR: {"inherit": True, "scenes": {"beach": {"aspect_ratio": "1:1"}, "roof": {}}},
        }
    )
    assert list(scenes) == ["beach", "forest", "roof"]
    assert scenes["beach"].values["prompt"] == ROOT.values["prompt"]
    assert scenes["beach"].values["quality"] == ROOT.values["quality"]
    assert scenes["beach"].values["aspect_ratio"].source == Source(
        NEAR, "$.scenes.beach.aspect_ratio", "catalog/shoes"
    )
    assert scenes["forest"].values["prompt"].source == Source(TOP, "$.scenes.forest.prompt", "")


def test_defaults_and_variables_are_merged_name_by_name() -> None:
    values = the(
        staged(
            {
                TOP: {
                    "defaults": {"prompt": "{a} {b}", "quality": 1},
                    "variables": {"a": "top a", "b": "top b"},
                },
                NEAR: {"inherit": True, "defaults": {"quality": 2}, "variables": {"b": "near b"}},
            }
        )
    )
    assert values["prompt"].value == "top a near b"
    assert values["quality"].value == 2


def test_the_defaults_of_a_nearer_file_are_weaker_than_a_scene_that_is_inherited() -> None:
    scenes = staged(
        {
            TOP: {"scenes": {"beach": {"quality": 1}, "forest": {}}},
            NEAR: {"inherit": True, "defaults": {"quality": 2}},
        }
    )
    assert {name: scene.values["quality"].value for name, scene in scenes.items()} == {
        "beach": 1,
        "forest": 2,
    }


def test_a_file_without_inherit_takes_nothing_from_above() -> None:
    scenes = staged(
        {
            TOP: {"defaults": {"quality": 1}, "variables": {"a": "x"}, "scenes": {"beach": {}}},
            SIDECAR: {"scenes": {"roof": {}}},
        }
    )
    assert list(scenes) == ["roof"]
    assert the(scenes)["quality"] == ROOT.values["quality"]


def test_metadata_are_for_every_scene() -> None:
    scenes = staged(
        {NEAR: {"scenes": {"a": {"quality": 1}, "b": {"quality": 2}}}}, {"packshot-quality": "50"}
    )
    assert [scene.values["quality"].value for scene in scenes.values()] == [50, 50]


# -- what is passed over --


@pytest.mark.parametrize(
    ("pattern", "passed_over"),
    [
        ("*.tif", ["a.tif", "old/a.tif", "old/raw/a.tif"]),
        ("a.jpg", ["a.jpg", "old/a.jpg", "old/raw/a.jpg", "new/a.jpg"]),
        ("?.jpg", ["a.jpg", "old/a.jpg", "old/raw/a.jpg", "new/a.jpg"]),
        ("[ab].jpg", ["a.jpg", "old/a.jpg", "old/raw/a.jpg", "new/a.jpg"]),
        ("A.jpg", []),
        ("/a.jpg", ["a.jpg"]),
        ("/*.jpg", ["a.jpg"]),
        ("old/", ["old/a.jpg", "old/a.tif", "old/raw/a.jpg", "old/raw/a.tif"]),
        ("/old/", ["old/a.jpg", "old/a.tif", "old/raw/a.jpg", "old/raw/a.tif"]),
        ("old/**", ["old/a.jpg", "old/a.tif", "old/raw/a.jpg", "old/raw/a.tif"]),
        ("old/*", ["old/a.jpg", "old/a.tif"]),
        ("old", ["old"]),
        ("/old", ["old"]),
        ("raw/", []),
        ("**/raw/", ["old/raw/a.jpg", "old/raw/a.tif"]),
        ("**/raw/*.tif", ["old/raw/a.tif"]),
        ("**/a.jpg", ["a.jpg", "old/a.jpg", "old/raw/a.jpg", "new/a.jpg"]),
        ("old/**/a.jpg", ["old/a.jpg", "old/raw/a.jpg"]),
        ("*/a.jpg", ["old/a.jpg", "new/a.jpg"]),
        ("o*/**/*.tif", ["old/a.tif", "old/raw/a.tif"]),
        ("shoes/a.jpg", []),
        ("catalog/shoes/a.jpg", []),
        ("**", "all"),
        ("*", "all"),
        ("/", "all"),
        ("**/", "all"),
    ],
)
def test_a_pattern_means_these_photos_and_no_others(pattern: str, passed_over: list[str] | str) -> None:
    photos = [
        "a.jpg",
        "a.tif",
        "old",
        "new/a.jpg",
        "old/a.jpg",
        "old/a.tif",
        "old/raw/a.jpg",
        "old/raw/a.tif",
    ]
    files = [layer(NEAR, ignore=["nothing", pattern])]
    ignored = {name: ignored_by(f"catalog/shoes/{name}", files) for name in photos}
    expected = photos if passed_over == "all" else [name for name in photos if name in passed_over]
    assert [name for name, source in ignored.items() if source] == expected
    assert set(filter(None, ignored.values())) <= {Source(NEAR, "$.ignore[1]", "catalog/shoes")}


def test_patterns_are_relative_to_the_file_that_holds_them_and_add_up() -> None:
    files: dict[str, dict[str, Any]] = {
        TOP: {"ignore": ["catalog/*/blue.jpg"]},
        NEAR: {"inherit": True, "ignore": ["/red.jpg"]},
    }
    assert ignored_by(PHOTO, layers_of(files)) == Source(NEAR, "$.ignore[0]", "catalog/shoes")
    assert ignored_by("catalog/shoes/blue.jpg", layers_of(files)) == Source(TOP, "$.ignore[0]", "")
    assert ignored_by("catalog/shoes/green.jpg", layers_of(files)) is None


def test_a_photo_with_a_file_that_stands_alone_is_not_passed_over_by_those_above() -> None:
    assert ignored_by(PHOTO, layers_of({TOP: {"ignore": ["*"]}, SIDECAR: {}})) is None
    assert ignored_by(PHOTO, layers_of({TOP: {"ignore": ["*"]}, SIDECAR: {"inherit": True}})) is not None


@pytest.mark.parametrize(
    "pattern",
    ["*a*a*a*a*b", "*a" * 99 + "b", "**/" * 66 + "b", "a*/" * 60 + "**/b", "[!a]*" * 40, "?*" * 99 + "b"],
)
def test_hostile_patterns_take_no_time(pattern: str) -> None:
    files = [layer(TOP, ignore=[pattern] * 100)]
    started = time.perf_counter()
    for key in ("a" * MAX_KEY_BYTES, "a/" * 511 + "a", "aaaaaaaaaaaa/" * 78 + "a"):
        assert ignored_by(key, files) is None or pattern.startswith("[!")
    assert time.perf_counter() - started < 3


@given(
    (st.text("*?[]!-/ab^&|~\\.", min_size=1, max_size=12) | st.text(min_size=1, max_size=8)).filter(
        re.compile(IGNORE_PATTERN).match
    ),
    st.text("ab/[-", max_size=9),
)
@example("[[:alpha:]]", "a")
@example("[z-a]", "a")
@example("[a&&b]", "a")
def test_any_pattern_means_some_photos_and_warns_of_nothing(pattern: str, key: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ignored_by(key, [Layer(TOP, ScenesFile(ignore=[pattern]))])


# -- variations --


def test_variations_are_jobs_of_their_own_with_seeds_that_follow_each_other() -> None:
    scenes = staged({NEAR: {"scenes": {"beach": {"variations": 3, "seed": 7}, "forest": {}}}})
    assert {name: scene.values["seed"].value for name, scene in scenes.items()} == {
        "beach-1": 7,
        "beach-2": 8,
        "beach-3": 9,
        "forest": None,
    }
    assert {scene.values["seed"].source.path for scene in scenes.values()} == {
        "$.scenes.beach.seed",
        "SceneSeed",
    }
    assert all("variations" not in scene.values for scene in scenes.values())


@pytest.mark.parametrize("seed", [-1, None])
def test_a_seed_that_is_drawn_is_drawn_for_each_variation(seed: int | None) -> None:
    scenes = staged({NEAR: {"scenes": {"beach": {"variations": 3, "seed": seed}}}})
    assert [scene.values["seed"].value for scene in scenes.values()] == [seed] * 3
    assert (
        len({scene.scene({}).seed_for(f"{number:032x}") for number, scene in enumerate(scenes.values())}) == 1
    )
    drawn = {scene.scene({}).seed_for(f"{number:08x}" * 4) for number, scene in enumerate(scenes.values())}
    assert len(drawn) == 3


def test_one_variation_is_named_as_such() -> None:
    assert list(staged({NEAR: {"scenes": {"beach": {"variations": 1}}}})) == ["beach-1"]


def test_a_seed_from_anywhere_goes_up() -> None:
    scenes: dict[str, dict[str, Any]] = {NEAR: {"scenes": {"beach": {"variations": 2}}}}
    assert [each.values["seed"].value for each in staged(scenes, {"packshot-seed": "5"}).values()] == [5, 6]
    scenes[NEAR]["defaults"] = {"seed": 9}
    assert [each.values["seed"].value for each in staged(scenes).values()] == [9, 10]


def test_a_seed_that_goes_up_too_far_is_told_where_it_stands() -> None:
    scenes = {NEAR: {"scenes": {"beach": {"variations": 2}}}}
    allowed = f"at most {MAX_SEED - 1}, for its 2 variations"
    assert mistakes(scenes, {"packshot-seed": str(MAX_SEED)}) == [
        (METADATA, "packshot-seed", str(MAX_SEED), allowed)
    ]
    staged(scenes, {"packshot-seed": str(MAX_SEED - 1)})


def test_names_that_meet_across_files_are_told_where_the_second_stands() -> None:
    files = {
        TOP: {"scenes": {"beach": {"variations": 2}}},
        NEAR: {"inherit": True, "scenes": {"beach-2": {}}},
        SIDECAR: {"inherit": True, "scenes": {"forest": {}}},
    }
    assert mistakes(files) == [
        (
            NEAR,
            "$.scenes.beach-2",
            "a second job named beach-2",
            "a name of its own for each job; variations are named SCENE-1, SCENE-2",
        )
    ]


def test_more_jobs_than_a_photo_may_have_are_a_mistake_of_the_nearest_file_with_scenes() -> None:
    files = {
        TOP: {"scenes": {"beach": {"variations": 10}, "forest": {"variations": 10}}},
        NEAR: {"inherit": True, "scenes": {"roof": {}}},
        SIDECAR: {"inherit": True},
    }
    allowed = "at most 20 for one photo, variations counted (MaxJobsPerPhoto)"
    assert mistakes(files) == [(NEAR, "$.scenes", "21 jobs", allowed)]
    assert len(staged(files, root=Root(ROOT.values, max_jobs=21))) == 21


# -- placeholders --


def test_what_the_key_tells_and_what_files_and_metadata_say() -> None:
    values = the(
        staged(
            {
                NEAR: {
                    "defaults": {"prompt": "{product} {colour} {folder} {stem} {sku}"},
                    "variables": {"product": "shoe"},
                }
            },
            {"packshot-var-colour": "red"},
            sku="10482",
        )
    )
    assert values["prompt"].value == "shoe red catalog/shoes red 10482"
    assert values["prompt"].source == Source(NEAR, "$.defaults.prompt", "catalog/shoes")


def test_metadata_win_over_the_variables_of_files_and_nothing_over_the_key() -> None:
    files = {NEAR: {"defaults": {"prompt": "{product} {my_size}"}, "variables": {"product": "shoe"}}}
    fields = {"packshot-var-product": quote("Schuh {stem}, 靴"), "Packshot-Var-My-Size": "43"}
    assert the(staged(files, fields))["prompt"].value == "Schuh {stem}, 靴 43"
    for name in ("folder", "stem", "sku"):
        ((file, path, found, allowed),) = mistakes(files, {f"packshot-var-{name}": "x"})
        assert (file, path, found) == (METADATA, f"packshot-var-{name}", "an unknown name")
        assert allowed.endswith("not folder, stem, sku")


def test_placeholders_are_filled_in_prompts_of_the_stack_and_of_metadata_too() -> None:
    root = Root(stack_values(Scene(prompt="the {stem} in a room")), max_jobs=20)
    assert the(staged({}, root=root))["prompt"].value == "the red in a room"
    assert the(staged({}, {"packshot-prompt": "the {stem}"}))["prompt"].value == "the red"


def test_an_unknown_placeholder_is_told_with_the_known_ones() -> None:
    files = {
        TOP: {"variables": {"product": "shoe"}},
        NEAR: {
            "inherit": True,
            "scenes": {"a": {"prompt": "{prodct}, {colour}"}, "b": {"image_2": "{x}.png"}},
        },
    }
    assert mistakes(files, {"packshot-var-size": "43"}) == [
        (NEAR, "$.scenes.a.prompt", "{prodct}, {colour}", "{folder}, {product}, {size}, {stem}"),
        (NEAR, "$.scenes.b.image_2", "{x}", "{folder}, {product}, {size}, {stem}"),
    ]


def test_a_sku_that_the_key_does_not_have_is_unknown() -> None:
    files = {NEAR: {"defaults": {"prompt": "the {sku}"}}}
    assert mistakes(files) == [(NEAR, "$.defaults.prompt", "{sku}", "{folder}, {stem}")]
    assert the(staged(files, sku="7"))["prompt"].value == "the 7"


def test_a_mistake_that_all_scenes_share_is_told_once() -> None:
    files = {NEAR: {"defaults": {"prompt": "{x}"}, "scenes": {"a": {}, "b": {}}}}
    assert len(mistakes(files)) == 1


def test_a_prompt_is_measured_with_its_placeholders_filled() -> None:
    files = {NEAR: {"defaults": {"prompt": "{a}" * 6}, "variables": {"a": "x" * 1000}}}
    ((file, path, found, allowed),) = mistakes(files)
    assert (file, path, found) == (NEAR, "$.defaults.prompt", '"' + "x" * 99 + "…")
    assert allowed == "a text of 1 to 5000 characters, with its placeholders filled"
    files = {NEAR: {"defaults": {"prompt": "{a}"}, "variables": {"a": " "}}}
    assert [found for _, _, found, _ in mistakes(files)] == ['" "']


def test_braces_of_the_stacks_prompt_are_told_where_they_stand() -> None:
    root = Root(stack_values(Scene(prompt="a {")), max_jobs=20)
    ((file, path, found, _),) = mistakes({}, root=root)
    assert (file, path, found) == (STACK, "ScenePrompt", "a brace on its own, { or }")


# -- images that go along --


@pytest.mark.parametrize(
    ("given_key", "key"),
    [
        ("towel.png", "catalog/shoes/towel.png"),
        ("_props/towel.png", "catalog/shoes/_props/towel.png"),
        ("./_props//towel.png", "catalog/shoes/_props/towel.png"),
        ("../_props/towel.png", "catalog/_props/towel.png"),
        ("../../towel.png", "towel.png"),
        ("/_props/towel.png", "_props/towel.png"),
        ("/a/../towel.png", "towel.png"),
        ("{stem}-{colour}.png", "catalog/shoes/red-blue.png"),
        ("/{folder}/x.png", "catalog/shoes/x.png"),
        ("{up}", "catalog/towel.png"),
        ("a towel é.png", "catalog/shoes/a towel é.png"),
    ],
)
def test_a_key_is_relative_to_the_folder_of_its_file(given_key: str, key: str) -> None:
    files = {
        NEAR: {"defaults": {"image_2": given_key}, "variables": {"colour": "blue", "up": "../towel.png"}}
    }
    (scene,) = staged(files).values()
    assert scene.references == {"image_2": key}
    assert scene.values["image_2"].value == key
    stored = StoredImage(key=key, sha256="5e" * 32)
    assert scene.scene({key: stored}).stored_images == {"image_2": stored}


def test_a_key_of_a_file_above_is_relative_to_its_own_folder() -> None:
    files = {
        TOP: {"defaults": {"image_2": "_props/a.png"}},
        NEAR: {"inherit": True, "defaults": {"image_3": "b.png"}},
    }
    (scene,) = staged(files).values()
    assert scene.references == {"image_2": "_props/a.png", "image_3": "catalog/shoes/b.png"}


def test_a_key_in_metadata_is_relative_to_the_folder_of_the_photo_and_one_of_the_stack_to_the_bucket() -> (
    None
):
    (scene,) = staged({}, {"packshot-image-2": "a.png"}).values()
    assert scene.references == {"image_2": "catalog/shoes/a.png"}
    root = Root({**ROOT.values, "image_3": Value("a.png", Source(STACK, "SceneImage3"))}, max_jobs=20)
    (scene,) = staged({}, root=root).values()
    assert scene.references == {"image_3": "a.png"}


def test_a_url_is_left_as_it_is() -> None:
    files = {NEAR: {"defaults": {"image_2": "https://cdn.example/{stem}.png?v=1"}}}
    (scene,) = staged(files).values()
    assert scene.references == {}
    assert scene.scene({}).image_2 == "https://cdn.example/red.png?v=1"


REFERENCE = "an https:// URL, or a key in the same bucket"


@pytest.mark.parametrize(
    ("text", "variables", "found", "allowed"),
    [
        ("../../../a.png", {}, "../../../a.png", "a key in the bucket, which this leads out of"),
        ("/../a.png", {}, "/../a.png", "a key in the bucket, which this leads out of"),
        ("{a}", {"a": "../" * 9}, "../" * 9, "a key in the bucket, which this leads out of"),
        ("{a}", {"a": ""}, "", None),
        ("{a}", {"a": "http://cdn.example/a.png"}, "http://cdn.example/a.png", REFERENCE),
        ("{a}://cdn.example/a", {"a": "http"}, None, REFERENCE),
        ("https://cdn.example/{a}", {"a": "a b"}, "https://cdn.example/a b", REFERENCE),
        ("{a}", {"a": "é" * 600}, "é" * 600, f"a key of 1 to {MAX_KEY_BYTES} bytes"),
        (
            "https://cdn.example/{a}{a}{a}",
            {"a": "x" * 1000},
            "https://cdn.example/" + "x" * 3000,
            f"a text of 1 to {MAX_URL_CHARACTERS} characters",
        ),
    ],
)
def test_what_leads_to_no_image_is_told(
    text: str, variables: dict[str, str], found: str | None, allowed: str | None
) -> None:
    photo = "shoes/red.jpg"
    file = {"defaults": {"image_2": text}, "variables": variables}
    if found is None:
        read = read_scenes_file("shoes/scenes.json", json.dumps(file).encode())
        assert isinstance(read, list)
        assert read[0].allowed == allowed
    elif allowed is None:
        (scene,) = staged({"shoes/scenes.json": file}, photo=photo).values()
        assert scene.references == {"image_2": "shoes"}
    else:
        ((where, path, told_found, told_allowed),) = mistakes({"shoes/scenes.json": file}, photo=photo)
        assert (where, path) == ("shoes/scenes.json", "$.defaults.image_2")
        assert json.dumps(found).startswith(told_found.removesuffix("…"))
        assert told_allowed == allowed


def test_a_key_outside_of_what_may_be_read_is_told() -> None:
    root = Root(ROOT.values, max_jobs=20, prefix="catalog/")
    assert mistakes({NEAR: {"defaults": {"image_2": "/_props/a.png"}}}, root=root) == [
        (NEAR, "$.defaults.image_2", '"/_props/a.png"', "a key that begins with catalog/ (PhotoPrefix)")
    ]
    staged({NEAR: {"defaults": {"image_2": "/catalog/_props/a.png"}}}, root=root)


# -- metadata --


@pytest.mark.parametrize(
    ("field", "value", "found", "allowed"),
    [
        ("packshot-quality", "best", '"best"', "a whole number from 1 to 100"),
        ("packshot-base64", "perhaps", '"perhaps"', "true or false"),
        ("packshot-lora", "other", '"other"', "product_photography"),
        ("packshot-lora-2-url", "http://l.example/a", '"http://l.example/a"', "an https:// URL"),
        ("packshot-image-2", "s3://a/b", '"s3://a/b"', REFERENCE),
        ("packshot-prompt", "%FF", '"%FF"', "plain ASCII, RFC 2047 or percent-encoded UTF-8"),
        (
            "packshot-prompt",
            "a {Product}",
            '"{Product}"',
            "{name} of lower-case letters, digits and _; a brace that is meant is written twice, {{ or }}",
        ),
        (
            "packshot-promt",
            "a sofa",
            "an unknown name",
            "the names packshot-prompt, packshot-image-2, packshot-image-3, packshot-aspect-ratio,"
            " packshot-image-format, packshot-quality, packshot-seed, packshot-base64, packshot-lora,"
            " packshot-lora-2-url, packshot-lora-3-url, packshot-var-NAME (perhaps packshot-prompt)",
        ),
        (
            "packshot-var-2nd",
            "x",
            "an unknown name",
            "packshot-var-NAME, of letters, digits and -, which begins with a letter; not folder, stem, sku",
        ),
    ],
)
def test_a_mistake_in_metadata_is_told_exactly(field: str, value: str, found: str, allowed: str) -> None:
    assert mistakes({}, {field: value}) == [(METADATA, field, found, allowed)]


@pytest.mark.parametrize("parameter", PARAMETERS)
def test_every_parameter_may_be_given_by_metadata(parameter: str) -> None:
    value = LEVELS[parameter][0]
    field = "packshot-" + parameter.replace("_", "-")
    assert the(staged({}, {field: as_text(value)}))[parameter] == Value(
        value, Source(METADATA, field, "catalog/shoes")
    )


def test_all_mistakes_of_the_metadata_are_told_at_once() -> None:
    fields = {"packshot-quality": "0", "packshot-seed": "x", "packshot-nothing": "1"}
    assert [path for _, path, _, _ in mistakes({}, fields)] == sorted(fields)


# -- anything --

few_texts = (
    st.sampled_from(["", "a", "{a}", "{b}", "{", "../", "/", "https://a.example/", "http://a", "x" * 900])
    | odd_texts
)
some_files = st.fixed_dictionaries(
    {},
    optional={
        "inherit": st.booleans(),
        "ignore": st.lists(few_texts, max_size=2),
        "defaults": st.fixed_dictionaries(
            {},
            optional={"prompt": few_texts, "image_2": few_texts, "seed": st.sampled_from([-1, 0, MAX_SEED])},
        ),
        "variables": st.dictionaries(st.sampled_from("abc"), few_texts, max_size=3),
        "scenes": st.dictionaries(
            st.sampled_from(["a", "a-1", "a-2", "b"]),
            st.fixed_dictionaries(
                {}, optional={"prompt": few_texts, "image_3": few_texts, "variations": st.integers(1, 10)}
            ),
            max_size=4,
        ),
    },
)


@given(
    st.dictionaries(st.sampled_from([SIDECAR, NEAR, MIDDLE, TOP]), some_files, max_size=4),
    st.dictionaries(
        st.sampled_from(["packshot-prompt", "packshot-image-2", "packshot-var-a", "packshot-seed"]), few_texts
    ),
    st.none() | few_texts,
    st.sampled_from([PHOTO, "catalog/shoes/" + "靴" * 330 + ".jpg"]),
)
def test_any_files_make_scenes_that_can_be_sent_or_mistakes_that_can_be_told(
    files: dict[str, dict[str, Any]], metadata: dict[str, str], sku: str | None, photo: str
) -> None:
    read = {key: read_scenes_file(key, json.dumps(fields).encode()) for key, fields in files.items()}
    readable = {key: file for key, file in read.items() if isinstance(file, ScenesFile)}
    layers = governing_layers(governing_keys(photo), readable.get)
    ignored_by(photo, layers)
    result: Sequence[StagedScene | Mistake] = stage(photo, sku, ROOT, layers, metadata)
    assert result
    found = [each for each in result if isinstance(each, Mistake)]
    if found:
        assert len(found) == len(result) <= MAX_MISTAKES
        reason = Reason(code="InvalidScene", message=told(found)[:MAX_REASON_CHARACTERS])
        rejected = a_job(
            JobState.REJECTED, photo=a_photo(photo), parameters=None, image_key=None, error=reason
        )
        kept(rejected)
        return
    scenes = [each for each in result if isinstance(each, StagedScene)]
    names = [each.name for each in scenes]
    assert len(set(names)) == len(names) <= ROOT.max_jobs
    for each in scenes:
        stored = {key: StoredImage(key=key, sha256="5e" * 32) for key in each.references.values()}
        scene = each.scene(stored)
        kept(a_job(JobState.PLANNED, photo=a_photo(photo), parameters=scene, scene=each.name))
        for key in each.references.values():
            assert not {"..", "."} & set(key.split("/"))
            assert len(key.encode()) <= MAX_KEY_BYTES
        for value in each.values.values():
            assert value.source.file in {STACK, METADATA, *readable}
            assert value.source.folder in {"", folder_of(photo), folder_of(value.source.file)}
