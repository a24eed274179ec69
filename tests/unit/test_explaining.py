"""`packshot explain` tells what the planner would decide, and where each value stands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from packshot.planning import jobs_of
from packshot.scene import DEFAULT_SCENE
from packshot_cli.explaining import Explanation, explain
from packshot_cli.main import app
from packshot_cli.photo_source import PhotoFolder
from packshot_cli.stack_settings import stack_settings
from tests.photos import HEIC, packshot
from tests.unit.fakes import START

SETTINGS = stack_settings({"SkuPattern": "sku-([0-9]+)"})


def put(root: Path, **files: Any) -> None:
    """Files by their path: bytes as they are, anything else as JSON."""
    for key, content in files.items():
        file = root / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two photos in one folder, with a scenes file at the root and one beside them, and a prop."""
    put(
        tmp_path,
        **{
            "scenes.json": {
                "ignore": ["*-swatch.*"],
                "defaults": {"quality": 90},
                "variables": {"product": "thing"},
                "scenes": {"studio": {"prompt": "A {product} in {folder}"}},
            },
            "sofas/scenes.json": {
                "inherit": True,
                "variables": {"product": "sofa"},
                "scenes": {
                    "beach": {"prompt": "A beach", "variations": 2, "seed": 4, "image_2": "_props/p.png"}
                },
            },
            "sofas/_props/p.png": packshot("PNG"),
            "sofas/sku-7.jpg": packshot(),
            "sofas/red-swatch.jpg": packshot(),
            "mug.jpg": packshot(colour="red"),
        },
    )
    return tmp_path


def explained(root: Path, bucket: str | None = "photos") -> Explanation:
    folder = PhotoFolder(root)
    return explain(folder, folder.keys(root), SETTINGS, bucket)


def command(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["explain", *arguments])


def test_every_job_has_the_request_that_would_be_sent(root: Path) -> None:
    explanation = explained(root)
    requests = {
        (job.job.photo.key, job.job.scene): job.request(PhotoFolder(root)) for job in explanation.jobs
    }
    common = {
        "aspect_ratio": "match_input_image",
        "image_format": "webp",
        "quality": 90,
        "base64": False,
        "lora": "product_photography",
    }
    sofa = {**common, "image_1": str(root / "sofas/sku-7.jpg")}
    beach = {**sofa, "prompt": "A beach", "image_2": str(root / "sofas/_props/p.png")}
    drawn = {job.job.photo.key: job.job.seed for job in explanation.jobs if job.job.scene == "studio"}
    assert requests == {
        ("mug.jpg", "studio"): {
            **common,
            "prompt": "A thing in ",
            "image_1": str(root / "mug.jpg"),
            "seed": drawn["mug.jpg"],
        },
        ("sofas/sku-7.jpg", "studio"): {
            **sofa,
            "prompt": "A sofa in sofas",
            "seed": drawn["sofas/sku-7.jpg"],
        },
        ("sofas/sku-7.jpg", "beach-1"): {**beach, "seed": 4},
        ("sofas/sku-7.jpg", "beach-2"): {**beach, "seed": 5},
    }


def test_jobs_are_those_of_the_planner(root: Path) -> None:
    for job in explained(root).jobs:
        assert job.job.parameters is not None
        planned = jobs_of(job.job.photo, {job.job.scene: job.job.parameters}, "{stem}/{scene}.{ext}", START)
        assert isinstance(planned, list)
        assert [each.job_id for each in planned] == [job.job.job_id]


def test_a_seed_that_follows_from_an_unknown_bucket_is_not_made_up(root: Path) -> None:
    seeds = [job.request(PhotoFolder(root))["seed"] for job in explained(root, bucket=None).jobs]
    assert sorted(map(str, seeds)) == ["4", "5", "None", "None"]


def test_every_value_and_every_word_says_where_it_stands(root: Path) -> None:
    beach = next(job for job in explained(root).jobs if job.job.scene == "beach-2").staged
    studio = next(job for job in explained(root).jobs if job.job.photo.key.startswith("sofas")).staged
    told = {name: (value.source.file, value.source.path) for name, value in beach.values.items()}
    assert told["quality"] == ("scenes.json", "$.defaults.quality")
    assert told["seed"] == ("sofas/scenes.json", "$.scenes.beach.seed")
    assert told["image_2"] == ("sofas/scenes.json", "$.scenes.beach.image_2")
    assert told["lora"] == ("the stack", "SceneLora")
    words = {name: (value.value, value.source.file) for name, value in studio.words.items()}
    assert words == {"product": ("sofa", "sofas/scenes.json"), "folder": ("sofas", "the photo's key")}


def test_without_scenes_files_there_is_the_stacks_scene(tmp_path: Path) -> None:
    put(tmp_path, **{"a.jpg": packshot()})
    (job,) = explained(tmp_path).jobs
    assert (job.job.scene, job.job.image_key) == (DEFAULT_SCENE, "a/default.webp")
    assert {value.source.file for value in job.staged.values.values()} == {"the stack"}


REJECTED: dict[str, tuple[dict[str, Any], str, str]] = {
    "phone.heic": ({"phone.heic": HEIC}, "UnsupportedFormat", "HEIC"),
    "empty.jpg": ({"empty.jpg": b""}, "EmptyFile", "0 bytes"),
    "a/x.jpg": (
        {"a/x.jpg": packshot(), "a/scenes.json": {"defaults": {"image_3": "no.png"}}},
        "InvalidScene",
        'a/scenes.json: $.defaults.image_3: found "a/no.png" (there is no such object)',
    ),
    "b/x.jpg": (
        {"b/x.jpg": packshot(), "b/scenes.json": {"defaults": {"image_3": "no.txt"}}, "b/no.txt": b"text"},
        "InvalidScene",
        "the content is text",
    ),
    "c/x.jpg": (
        {"c/x.jpg": packshot(), "c/x.jpg.scenes.json": b"{"},
        "InvalidScene",
        "c/x.jpg.scenes.json: $: found no JSON at line 1",
    ),
    "d/x.jpg": (
        {"d/x.jpg": packshot(), "d/scenes.json": {"scenes": {"a": {"prompt": "{sku}"}}}},
        "InvalidScene",
        "$.scenes.a.prompt: found {sku}; allowed: {folder}, {stem}",
    ),
    "e/x.png": ({"e/x.jpg": packshot(), "e/x.png": packshot("PNG")}, "PathTaken", "e/x.jpg"),
}


@pytest.mark.parametrize("key", REJECTED)
def test_what_would_be_rejected_is_told_and_the_command_ends_with_2(tmp_path: Path, key: str) -> None:
    files, code, words = REJECTED[key]
    put(tmp_path, **files)
    rejected = {photo.key: photo.rejected for photo in explained(tmp_path).photos}[key]
    assert rejected is not None
    assert rejected.code == code
    assert words in rejected.message
    told = command(str(tmp_path))
    assert told.exit_code == 2
    assert f"{key}  rejected: {code}" in told.stdout or f"{key}.scenes.json  cannot be used" in told.stdout


def test_a_photo_that_cannot_be_read_keeps_none_of_the_others_back(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Path.read_bytes

    def read_bytes(path: Path) -> bytes:
        if path.name == "mug.jpg":
            raise PermissionError(13, "Permission denied")
        return honest(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    told = command(str(root))
    assert (told.exit_code, "3 jobs" in told.stdout) == (2, True)
    assert "mug.jpg cannot be read: Permission denied" in told.stdout


def test_a_broken_file_that_no_photo_needs_counts_too(tmp_path: Path) -> None:
    put(tmp_path, **{"a.jpg": packshot(), "empty/scenes.json": {"scene": {}}})
    told = command(str(tmp_path))
    assert told.exit_code == 2
    assert "empty/scenes.json: $.scene: found " in told.stdout
    assert told.stdout.endswith("1 photo, 1 job\n$0.09 at $0.0891 an image (the price of 2026-08)\n")


def test_what_is_wrong_with_a_file_is_told_once_however_many_photos_need_it(tmp_path: Path) -> None:
    put(tmp_path, **{f"{number}.jpg": packshot() for number in range(30)}, **{"scenes.json": {"scene": {}}})
    told = command(str(tmp_path))
    assert "scenes.json  cannot be used, and rejects 30 photos" in told.stdout
    assert told.stdout.count("$.scene: found") == 1
    assert "30 photos (30 rejected), 0 jobs" in told.stdout


def test_a_scenes_file_of_a_photo_that_is_not_there_is_told(tmp_path: Path) -> None:
    put(tmp_path, **{"sofa.jpg": packshot(), "Sofa.jpg.scenes.json": {}})
    assert "Sofa.jpg.scenes.json  is for no photo" in command(str(tmp_path)).stdout


def test_a_scenes_file_further_up_is_not_passed_over_in_silence(root: Path) -> None:
    told = command(str(root / "sofas"))
    assert f"{root}/scenes.json is not read, being further up: --root {root}" in told.stderr
    assert command(str(root / "sofas"), "--root", str(root)).stderr == ""


def test_a_person_reads_each_value_with_its_source_and_the_sum_last(root: Path) -> None:
    told = command(str(root))
    assert told.exit_code == 0
    lines = told.stdout.splitlines()
    assert "sofas/sku-7.jpg  3 jobs" in lines
    assert "  beach-2  ->  sofas/sku-7/beach-2.webp" in lines
    assert f"    {'seed':12}  5{'sofas/scenes.json $.scenes.beach.seed':>61}" in lines
    assert "sofas/red-swatch.jpg  ignored by scenes.json $.ignore[0]" in lines
    assert lines[-2:] == [
        "3 photos (1 ignored, 1 passed over by name), 4 jobs",
        "$0.36 at $0.0891 an image (the price of 2026-08)",
    ]
    assert "\x1b" not in told.stdout


def test_a_machine_reads_one_document(root: Path) -> None:
    told = command(str(root), "--json", "--bucket", "photos", "--param", "ImagePriceUsd=0.1")
    document = json.loads(told.stdout)
    assert (document["jobs"], document["quote_usd"], document["image_price_date"]) == (4, 0.4, "2026-08")
    assert document["accepted"] is True
    assert [file["key"] for file in document["scenes_files"]] == ["scenes.json", "sofas/scenes.json"]
    (photo,) = [photo for photo in document["photos"] if photo["key"] == "sofas/sku-7.jpg"]
    beach = photo["jobs"][1]
    assert (beach["scene"], beach["request"]["seed"]) == ("beach-1", 4)
    assert beach["sources"]["prompt"] == {"file": "sofas/scenes.json", "path": "$.scenes.beach.prompt"}
    assert len(beach["job_id"]) == 32
    assert photo["jobs"][0]["placeholders"]["product"]["value"] == "sofa"


def test_one_photo_is_explained_below_its_root(root: Path) -> None:
    told = command(str(root / "sofas/sku-7.jpg"), "--root", str(root))
    assert "1 photo, 3 jobs" in told.stdout
    alone = command(str(root / "sofas/sku-7.jpg"))
    assert "1 photo, 2 jobs" in alone.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{root}/none"], "There is no"),
        ([""], "The path is empty"),
        (["s3:///prefix"], "names no bucket"),
        (["{root}", "--root", "{root}/sofas"], "is not below"),
        (["{root}", "--param", "Colour=red"], "no parameter Colour"),
        (["{root}", "--param", "SceneQuality=900"], "SceneQuality: Input should be less than"),
        (["{root}", "--param", "SceneImage2=_props/x.png"], "SceneImage2: "),
        (["{root}", "--param", "SkuPattern=("], "SkuPattern: Value error, no regular expression"),
        (["{root}", "--param", "PathTemplate={stem}.{ext}"], "PathTemplate: Value error, it needs {scene}"),
    ],
)
def test_who_cannot_look_says_why_and_ends_with_1(root: Path, arguments: list[str], words: str) -> None:
    told = command(*(argument.replace("{root}", str(root)) for argument in arguments))
    assert told.exit_code == 1
    assert words in told.stderr
    assert not told.stdout
    assert told.stderr.count("\n") == 1


def test_an_empty_folder_says_so(tmp_path: Path) -> None:
    told = command(str(tmp_path))
    assert (told.exit_code, told.stdout) == (0, "There is no photo.\n")


def test_a_link_that_goes_in_circles_is_no_trouble(root: Path) -> None:
    (root / "sofas/again").symlink_to(root)
    assert len(explained(root).photos) == 3


def test_what_is_no_file_is_no_photo(root: Path) -> None:
    os.mkfifo(root / "pipe.jpg")
    (root / "nothing.jpg").symlink_to(root / "none.jpg")
    (root / "endless.jpg").symlink_to("/dev/zero")
    assert len(explained(root).photos) == 3


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_a_reader_that_has_seen_enough_is_no_error(root: Path, arguments: list[str]) -> None:
    command = [sys.executable, "-m", "packshot_cli", "explain", str(root), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert (process.stderr.read(), process.wait(timeout=30)) == (b"", 0)


def test_a_name_that_is_no_text_is_refused_by_name(tmp_path: Path) -> None:
    put(tmp_path, **{"a\udcff.jpg": packshot()})
    told = command(str(tmp_path))
    assert told.exit_code == 1
    assert r"'a\udcff.jpg': rename it" in told.stderr


def test_a_thousand_photos_in_five_scenes_are_all_there(tmp_path: Path) -> None:
    photo = packshot(size=(32, 24))
    put(tmp_path, **{f"{number % 10}/{number}.jpg": photo for number in range(1000)})
    put(tmp_path, **{"scenes.json": {"scenes": {name: {"prompt": name} for name in "abcde"}}})
    explanation = explained(tmp_path)
    assert len(explanation.jobs) == 5000
    assert len({job.job.image_key for job in explanation.jobs}) == 5000
