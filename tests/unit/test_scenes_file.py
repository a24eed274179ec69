"""The format of scenes files: what is taken, and every mistake with its place, and what is allowed there."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from packshot.events import MAX_DETAIL_BYTES, MAX_REASON_CHARACTERS, scenes_rejected_event
from packshot.job import JobState, Reason
from packshot.photo import Photo
from packshot.scene import ASPECT_RATIOS, MAX_SEED, SceneRequest
from packshot.scenes_file import (
    MAX_FILE_BYTES,
    MAX_MISTAKES,
    PARAMETERS,
    Mistake,
    ScenesFile,
    is_scenes_key,
    json_path,
    read_scenes_file,
    shown,
    told,
)
from tests.unit.fakes import a_job
from tests.unit.hostile import damaged_bytes, damaged_json, kept, odd_texts, odd_values

KEY = "shoes/scenes.json"
RATIOS = ", ".join(ASPECT_RATIOS)
PARAMETER_NAMES = (
    "prompt, image_2, image_3, aspect_ratio, image_format, quality, seed, base64, lora, "
    "lora_2_url, lora_3_url"
)


def read(text: str | bytes) -> ScenesFile | list[Mistake]:
    return read_scenes_file(KEY, text.encode() if isinstance(text, str) else text)


def file_of(**fields: Any) -> ScenesFile:
    file = read(json.dumps(fields))
    assert isinstance(file, ScenesFile), told(file)
    return file


def mistakes_of(text: str | bytes) -> list[tuple[str, str, str]]:
    mistakes = read(text)
    assert isinstance(mistakes, list), mistakes
    assert {mistake.file for mistake in mistakes} == {KEY}
    return [(mistake.path, mistake.found, mistake.allowed) for mistake in mistakes]


# -- which keys --


@pytest.mark.parametrize(
    ("key", "governs"),
    [
        ("scenes.json", True),
        ("shoes/scenes.json", True),
        ("shoes/red.jpg.scenes.json", True),
        ("shoes/red.scenes.json", True),
        ("Scenes.json", False),
        ("shoes/scenes.json.bak", False),
        ("shoes/myscenes.json", False),
        ("_scenes.schema.json", False),
        ("_old/scenes.json", False),
        ("shoes/.trash/scenes.json", False),
        ("shoes/_red.jpg.scenes.json", False),
        ("shoes/.scenes.json", False),
        ("scenes.json/red.jpg", False),
    ],
)
def test_a_scenes_file_is_known_by_its_name(key: str, governs: bool) -> None:
    assert is_scenes_key(key) is governs


# -- what is taken --

EVERY_PARAMETER: dict[str, Any] = {
    "prompt": "on a beach",
    "image_2": "_props/towel.png",
    "image_3": "https://cdn.example/shell.png",
    "aspect_ratio": "4:5",
    "image_format": "png",
    "quality": 80,
    "seed": 7,
    "base64": True,
    "lora": "product_photography",
    "lora_2_url": "https://loras.example/a.safetensors",
    "lora_3_url": "https://loras.example/b.safetensors",
}


def test_every_parameter_of_the_model_but_the_photo_itself_has_its_api_name() -> None:
    assert set(PARAMETERS) == set(SceneRequest.model_fields) - {"image_1"} == set(EVERY_PARAMETER)


@pytest.mark.parametrize("name", EVERY_PARAMETER)
def test_every_parameter_may_stand_in_defaults_and_in_a_scene(name: str) -> None:
    given_one = {name: EVERY_PARAMETER[name]}
    file = file_of(defaults=given_one, scenes={"beach": given_one})
    assert file.defaults == given_one
    assert file.scenes == {"beach": given_one}


def test_an_empty_object_says_nothing() -> None:
    assert read("{}") == ScenesFile()


@pytest.mark.parametrize("name", ["image_2", "image_3", "seed", "lora_2_url", "lora_3_url"])
def test_null_takes_back_what_a_weaker_file_says(name: str) -> None:
    assert file_of(scenes={"beach": {name: None}}).scenes == {"beach": {name: None}}


def test_a_byte_order_mark_is_no_mistake() -> None:
    assert read(b"\xef\xbb\xbf" + b'{"inherit": true}') == ScenesFile(inherit=True)


def test_a_file_may_have_256_kb_and_no_more() -> None:
    text = '{"variables": {}}'
    assert isinstance(read(text.ljust(MAX_FILE_BYTES)), ScenesFile)
    assert mistakes_of(text.ljust(MAX_FILE_BYTES + 1)) == [("$", "262145 bytes", "at most 262144")]


def test_braces_that_are_meant_are_written_twice() -> None:
    file_of(defaults={"prompt": "a sign that says {{sale}}, and the {product}"})


# -- mistakes --

JSON = "JSON, without comments, and no comma after a last entry"
OBJECT = "a JSON object, { }"
PATTERN = "a pattern of *, ?, [ab] and **, without a leading ! or ./ and without { }"
BRACES = "{name} of lower-case letters, digits and _; a brace that is meant is written twice, {{ or }}"
SCENE_NAME = "a name of 1 to 64 letters (A to Z, a to z), digits, - and _, the first a letter or digit"
VARIABLE_NAME = "a name of 1 to 64 lower-case letters (a to z), digits and _, the first a letter"


@pytest.mark.parametrize(
    ("text", "path", "found", "allowed"),
    [
        # no JSON object
        ("", "$", "no JSON at line 1, column 1 (Expecting value)", JSON),
        ('{\n  "a": 1\n  "b": 2}', "$", "no JSON at line 3, column 3 (Expecting ',' delimiter)", JSON),
        ('// mine\n{"a": 1}', "$", "no JSON at line 1, column 1 (Expecting value)", JSON),
        ("{} {}", "$", "no JSON at line 1, column 4 (Extra data)", JSON),
        ("[]", "$", "[]", OBJECT),
        ("null", "$", "null", OBJECT),
        ('"scenes"', "$", '"scenes"', OBJECT),
        (b"\xff\xfe{\x00}\x00", "$", "something else at byte 1", "a text file in UTF-8"),
        (b'{"variables": {"a": "caf\xe9"}}', "$", "something else at byte 25", "a text file in UTF-8"),
        ('{"defaults": {"seed": NaN}}', "$", "NaN", "a number in digits"),
        ('{"defaults": {"seed": -Infinity}}', "$", "-Infinity", "a number in digits"),
        (f'{{"version": {"9" * 5000}}}', "$", "a number of thousands of digits", f"numbers up to {MAX_SEED}"),
        ("[" * 100_000, "$", "hundreds of brackets in each other", "what a scenes file needs: four levels"),
        # names
        (
            '{"scene": {}}',
            "$.scene",
            'the unknown name "scene"',
            "the names $schema, version, inherit, ignore, defaults, variables, scenes (perhaps scenes)",
        ),
        (
            '{"defaults": {"aspectRatio": "1:1"}}',
            "$.defaults.aspectRatio",
            'the unknown name "aspectRatio"',
            f"the names {PARAMETER_NAMES} (perhaps aspect_ratio)",
        ),
        (
            '{"scenes": {"beach": {"variation": 2}}}',
            "$.scenes.beach.variation",
            'the unknown name "variation"',
            f"the names {PARAMETER_NAMES}, variations (perhaps variations)",
        ),
        (
            '{"defaults": {"variations": 2}}',
            "$.defaults.variations",
            'the unknown name "variations"',
            f"the names {PARAMETER_NAMES}",
        ),
        (
            '{"[key]": 1}',
            '$["[key]"]',
            'the unknown name "[key]"',
            "the names $schema, version, inherit, ignore, defaults, variables, scenes",
        ),
        ('{"scenes": {"my beach": {}}}', '$.scenes["my beach"]', '"my beach"', SCENE_NAME),
        ('{"scenes": {"küche": {}}}', '$.scenes["k\\u00fcche"]', '"k\\u00fcche"', SCENE_NAME),
        ('{"scenes": {"": {}}}', '$.scenes[""]', '""', SCENE_NAME),
        ('{"variables": {"Product": "sofa"}}', "$.variables.Product", '"Product"', VARIABLE_NAME),
        (
            '{"variables": {"sku": "1"}}',
            "$.variables.sku",
            '"sku"',
            "any name but folder, stem, sku, which the photo's key gives",
        ),
        ('{"scenes": {"a": {}, "a": {}}}', "$.scenes.a", "the name twice", "each name once"),
        (
            '{"defaults": {"seed": 1, "seed": 2}}',
            "$.defaults.seed",
            "the name twice",
            "each name once",
        ),
        (
            '{"ignore": [{"a": 1, "a": 1}]}',
            "$.ignore[0].a",
            "the name twice",
            "each name once",
        ),
        # values
        ('{"version": 2}', "$.version", "2", "1"),
        ('{"version": true}', "$.version", "true", "1"),
        ('{"ignore": ["!sofa.jpg"]}', "$.ignore[0]", '"!sofa.jpg"', PATTERN),
        ('{"ignore": ["a", "*.{jpg,png}"]}', "$.ignore[1]", '"*.{jpg,png}"', PATTERN),
        ('{"ignore": ["./drafts/"]}', "$.ignore[0]", '"./drafts/"', PATTERN),
        ('{"ignore": ["a/../b"]}', "$.ignore[0]", '"a/../b"', PATTERN),
        ('{"ignore": ["[ab*.jpg"]}', "$.ignore[0]", '"[ab*.jpg"', PATTERN),
        ('{"inherit": "true"}', "$.inherit", '"true"', "true or false, without quotes"),
        ('{"ignore": "*.tif"}', "$.ignore", '"*.tif"', "a list, [ ], of at most 100 texts"),
        ('{"ignore": ["a", ""]}', "$.ignore[1]", '""', "a text of 1 to 200 characters"),
        ('{"defaults": []}', "$.defaults", "[]", OBJECT),
        ('{"scenes": ["beach"]}', "$.scenes", '["beach"]', f"{OBJECT}, of at most 100 entries"),
        ('{"scenes": {"prompt": "on a beach"}}', "$.scenes.prompt", '"on a beach"', OBJECT),
        ('{"variables": {"prompt": 5}}', "$.variables.prompt", "5", "a text of 0 to 1000 characters"),
        ('{"defaults": {"prompt": ""}}', "$.defaults.prompt", '""', "a text of 1 to 5000 characters"),
        ('{"defaults": {"prompt": " "}}', "$.defaults.prompt", '" "', "a text of 1 to 5000 characters"),
        ('{"defaults": {"prompt": "a {"}}', "$.defaults.prompt", "a brace on its own, { or }", BRACES),
        ('{"defaults": {"prompt": "a } b"}}', "$.defaults.prompt", "a brace on its own, { or }", BRACES),
        ('{"defaults": {"prompt": "{Product}"}}', "$.defaults.prompt", '"{Product}"', BRACES),
        ('{"defaults": {"image_2": "{}"}}', "$.defaults.image_2", '"{}"', BRACES),
        (
            '{"scenes": {"a": {"image_2": "http://cdn.example/a.png"}}}',
            "$.scenes.a.image_2",
            '"http://cdn.example/a.png"',
            "an https:// URL, or a key in the same bucket",
        ),
        (
            '{"scenes": {"a": {"image_3": "s3://photos/a.png"}}}',
            "$.scenes.a.image_3",
            '"s3://photos/a.png"',
            "an https:// URL, or a key in the same bucket",
        ),
        (
            '{"defaults": {"lora_2_url": "_props/a.safetensors"}}',
            "$.defaults.lora_2_url",
            '"_props/a.safetensors"',
            "an https:// URL",
        ),
        (
            '{"defaults": {"lora_3_url": "https://loras.example/{stem}"}}',
            "$.defaults.lora_3_url",
            '"https://loras.example/{stem}"',
            "an https:// URL, without placeholders",
        ),
        ('{"defaults": {"lora": "other"}}', "$.defaults.lora", '"other"', "product_photography"),
        ('{"defaults": {"aspect_ratio": "16:10"}}', "$.defaults.aspect_ratio", '"16:10"', f"one of {RATIOS}"),
        (
            '{"defaults": {"image_format": "jpg"}}',
            "$.defaults.image_format",
            '"jpg"',
            "one of jpeg, png, webp",
        ),
        (
            '{"defaults": {"quality": "95"}}',
            "$.defaults.quality",
            '"95"',
            "a whole number from 1 to 100, without quotes",
        ),
        ('{"defaults": {"quality": 95.5}}', "$.defaults.quality", "95.5", "a whole number from 1 to 100"),
        ('{"defaults": {"quality": null}}', "$.defaults.quality", "null", "a whole number from 1 to 100"),
        (
            '{"defaults": {"seed": 1e400}}',
            "$.defaults.seed",
            "Infinity",
            f"a whole number from -1 to {MAX_SEED}",
        ),
        (
            f'{{"defaults": {{"seed": {10**30}}}}}',
            "$.defaults.seed",
            str(10**30),
            f"a whole number from -1 to {MAX_SEED}",
        ),
        ('{"defaults": {"base64": 1}}', "$.defaults.base64", "1", "true or false"),
        (
            '{"scenes": {"a": {"variations": 11}}}',
            "$.scenes.a.variations",
            "11",
            "a whole number from 1 to 10",
        ),
        ('{"scenes": {"a": {"variations": 0}}}', "$.scenes.a.variations", "0", "a whole number from 1 to 10"),
        (
            '{"scenes": {"a": {"variations": true}}}',
            "$.scenes.a.variations",
            "true",
            "a whole number from 1 to 10",
        ),
        (
            '{"defaults": {"prompt": "\\ud800"}}',
            "$.defaults.prompt",
            '"\\ud800"',
            "text without halves of characters (\\ud800 to \\udfff)",
        ),
        # values that are right, but not together
        (
            '{"scenes": {"beach": {"variations": 2}, "beach-2": {}}}',
            "$.scenes.beach-2",
            "a second job named beach-2",
            "a name of its own for each job; variations are named SCENE-1, SCENE-2",
        ),
        (
            f'{{"scenes": {{"a": {{"variations": 3, "seed": {MAX_SEED - 1}}}}}}}',
            "$.scenes.a.seed",
            str(MAX_SEED - 1),
            f"at most {MAX_SEED - 2}, for its 3 variations",
        ),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_mistake_is_told_exactly(text: str | bytes, path: str, found: str, allowed: str) -> None:
    assert mistakes_of(text) == [(path, found, allowed)]


def test_a_mistake_in_one_line_has_the_file_the_place_what_was_found_and_what_is_allowed() -> None:
    mistakes = read('{"defaults": {"quality": 101}}')
    assert isinstance(mistakes, list)
    assert told(mistakes) == (
        "shoes/scenes.json: $.defaults.quality: found 101; allowed: a whole number from 1 to 100"
    )


def test_all_mistakes_are_told_at_once() -> None:
    text = '{"version": 2, "defaults": {"quality": 0}, "scenes": {"a": {"seed": -2}, "b!": {}}}'
    assert [path for path, _, _ in mistakes_of(text)] == [
        "$.version",
        "$.defaults.quality",
        "$.scenes.a.seed",
        '$.scenes["b!"]',
    ]


def test_of_many_mistakes_the_first_ones_are_told() -> None:
    text = json.dumps({"scenes": {f"s{number}": {"quality": 0} for number in range(50)}})
    assert len(mistakes_of(text)) == MAX_MISTAKES


def test_the_highest_seeds_are_enough_for_their_variations() -> None:
    file_of(scenes={"a": {"seed": MAX_SEED - 2, "variations": 3}, "b": {"seed": MAX_SEED}})
    file_of(scenes={"a": {"seed": -1, "variations": 10}, "b": {"seed": None, "variations": 10}})


def test_jobs_of_two_scenes_with_variations_do_not_meet() -> None:
    file_of(scenes={"a": {"variations": 10}, "a-11": {}, "a-1-1": {"variations": 2}, "A": {"variations": 2}})
    (mistake,) = mistakes_of('{"scenes": {"a-1": {}, "a": {"variations": 1}}}')
    assert mistake[:2] == ("$.scenes.a", "a second job named a-1")


# -- bounds of what is told --


def test_a_value_of_any_size_is_shown_short_and_in_ascii() -> None:
    assert shown("x" * 1000) == '"' + "x" * 99 + "…"
    assert shown("靴\ud800") == '"\\u9774\\ud800"'
    assert shown({1, 2}) == "\"<class 'set'>\""


def test_a_path_is_what_one_would_write_and_not_long() -> None:
    assert json_path(["scenes", "beach-1", "quality"]) == "$.scenes.beach-1.quality"
    assert json_path(["ignore", 3]) == "$.ignore[3]"
    assert json_path(["scenes", 'a"b', "1"]) == '$.scenes["a\\"b"]["1"]'
    assert json_path(["$schema"]) == "$.$schema"
    assert len(json_path(["靴" * 1000] * 1000)) <= 301


def test_names_said_twice_tens_of_thousands_of_times_take_no_time() -> None:
    many = ", ".join(f'"a{number}": 1, "a{number}": 1' for number in range(9_000))
    started = time.perf_counter()
    assert len(mistakes_of(f"{{{many}}}")) == MAX_MISTAKES
    assert time.perf_counter() - started < 2


def test_a_name_said_twice_however_deep_is_told_in_few_words() -> None:
    text = '{"aaaaaaaaaa": ' * 200 + '{"x": 1, "x": 2}' + "}" * 200
    ((path, found, _),) = mistakes_of(text)
    assert path.startswith("$.aaaaaaaaaa.aaaaaaaaaa.")
    assert len(path) <= 301
    assert found == "the name twice"


UPLOAD = Photo(
    bucket="photos", key=KEY, version_id="v" * 32, etag="9b2cf535f27731c974343645a3985328", sequencer="1"
)
PAYLOADS = [
    {},
    {"defaults": EVERY_PARAMETER, "scenes": {"beach": {**EVERY_PARAMETER, "variations": 3}, "forest": {}}},
    {
        "$schema": "./_scenes.schema.json",
        "version": 1,
        "inherit": True,
        "ignore": ["*.tif", "old/", "**/raw/**"],
        "variables": {"product": "sofa", "keep": "as it is"},
        "scenes": {"a": {"prompt": "the {product}, {keep}", "image_2": "../_props/{stem}.png"}},
    },
]


def can_be_told(mistakes: list[Mistake], upload: Photo = UPLOAD) -> None:
    """A row and an event hold them."""
    assert 0 < len(mistakes) <= MAX_MISTAKES
    event = scenes_rejected_event(upload, mistakes)
    assert len(event.detail.encode()) <= MAX_DETAIL_BYTES
    assert json.loads(event.detail)["mistakes"]
    message = told(mistakes)[:MAX_REASON_CHARACTERS]
    message.encode()
    reason = Reason(code="InvalidScene", message=message)
    kept(a_job(JobState.REJECTED, photo=upload, parameters=None, image_key=None, error=reason))


@given(
    st.one_of(
        st.binary(max_size=200),
        damaged_bytes(damaged_json(PAYLOADS)),
        damaged_bytes(st.one_of(odd_texts, odd_values.map(json.dumps))),
        damaged_bytes(st.dictionaries(odd_texts, odd_values, max_size=30).map(json.dumps)),
    ),
    st.sampled_from([KEY, "靴" * 300 + "/scenes.json", "\x01" * 1000 + "/scenes.json", '"' * 900]),
)
@example(b'{"[key]": 1}', KEY)
@example(b'{"scenes": {"[key]": {"[key]": 1}}, "variables": {"[key]": {"[key]": 1}}}', KEY)
@example(b'{"\\ud800": 1, "scenes": {"\\ud800": {"\\ud800": 1}}}', KEY)
@example(b'{"a": ' * 900 + b"1" + b"}" * 900, KEY)
def test_any_bytes_are_a_file_or_mistakes_that_can_be_told(data: bytes, key: str) -> None:
    read = read_scenes_file(key, data)
    if isinstance(read, list):
        can_be_told(read, UPLOAD.model_copy(update={"key": key}))
    else:
        assert read_scenes_file(key, read.model_dump_json(by_alias=True, exclude_unset=True).encode()) == read
