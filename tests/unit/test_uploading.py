"""`packshot upload` sends what photos need before the photos, and nothing that would be rejected."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from typer.testing import CliRunner, Result

from packshot_cli import uploading
from packshot_cli.main import app
from packshot_cli.stack import Stack
from tests.photos import packshot

OUTPUTS = {"InputBucketName": "photos"}
ORDER = [
    "_props/rug.png",
    "scenes.json",
    "a.jpg.scenes.json",
    "a.jpg",
    "b.webp",
]


class FakeAccount(Stack):
    """A deployed stack with the template's defaults, and what was put into its bucket, in order."""

    put: list[dict[str, Any]]
    standing: dict[str, bytes]

    def client(self, service: str) -> Any:
        return self

    def describe_stacks(self, StackName: str) -> Mapping[str, Any]:  # noqa: N803
        return {"Stacks": [{"Parameters": [{"ParameterKey": "SceneQuality", "ParameterValue": "70"}]}]}

    def get_object(self, **asked: Any) -> dict[str, Any]:
        if asked["Key"] not in self.standing:
            raise ClientError({"Error": {"Code": "NoSuchKey", "Message": ""}}, "GetObject")
        data = self.standing[asked["Key"]]
        return {"ContentLength": len(data), "Body": io.BytesIO(data), "Metadata": {}}

    def put_object(self, **asked: Any) -> None:
        self.put.append(asked)


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> FakeAccount:
    stack = FakeAccount("packshot", None, OUTPUTS)  # type: ignore[arg-type]
    object.__setattr__(stack, "put", [])
    object.__setattr__(stack, "standing", {})
    monkeypatch.setattr(uploading, "find_stack", lambda *_: stack)
    return stack


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "_props").mkdir()
    (tmp_path / "_props/rug.png").write_bytes(packshot("PNG", colour="green"))
    (tmp_path / "_props/unused.png").write_bytes(packshot("PNG"))
    (tmp_path / ".DS_Store").write_bytes(b"x")
    (tmp_path / "a.jpg").write_bytes(packshot())
    (tmp_path / "a-swatch.jpg").write_bytes(packshot())
    (tmp_path / "b.webp").write_bytes(packshot("WEBP"))
    scenes = {"ignore": ["*-swatch.*"], "scenes": {"room": {"prompt": "x", "image_2": "_props/rug.png"}}}
    (tmp_path / "scenes.json").write_text(json.dumps(scenes))
    (tmp_path / "a.jpg.scenes.json").write_text(json.dumps({"inherit": True, "scenes": {"more": {}}}))
    return tmp_path


def upload(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["upload", *arguments])


def test_what_a_photo_needs_is_sent_before_it_and_nothing_else_is(folder: Path, account: FakeAccount) -> None:
    told = upload(str(folder), "--yes")
    assert told.exit_code == 0, told.stderr
    sent = [asked["Key"] for asked in account.put]
    assert sorted(sent) == sorted(ORDER)
    batches = [set(ORDER[:1]), set(ORDER[1:3]), set(ORDER[3:])]
    assert [set(sent[:1]), set(sent[1:3]), set(sent[3:])] == batches
    assert {asked["Bucket"] for asked in account.put} == {"photos"}
    types = {asked["Key"]: asked["ContentType"] for asked in account.put}
    assert types["a.jpg"] == "image/jpeg"
    assert types["scenes.json"] == "application/json"
    bodies = {asked["Key"]: asked["Body"] for asked in account.put}
    assert bodies["a.jpg"] == (folder / "a.jpg").read_bytes()
    assert "2 photos to s3://photos: 3 images, about $0.27" in told.stderr
    assert told.stdout == "5 files sent to s3://photos\n"


def test_nothing_is_sent_without_a_yes(folder: Path, account: FakeAccount) -> None:
    told = upload(str(folder))
    assert told.exit_code == 1
    assert "nobody to ask" in told.stderr
    assert not account.put


def test_nothing_is_sent_when_something_would_be_rejected(folder: Path, account: FakeAccount) -> None:
    (folder / "c.jpg").write_bytes(b"no photo")
    told = upload(str(folder), "--yes")
    assert told.exit_code == 2
    assert "c.jpg  rejected: UnsupportedFormat" in told.stderr
    assert not account.put
    assert upload(str(folder), "--yes", "--only-accepted").exit_code == 0
    assert sorted(asked["Key"] for asked in account.put) == sorted(ORDER)


def test_what_is_left_out_is_named(folder: Path, account: FakeAccount) -> None:
    (folder / "c.jpg").write_bytes(b"no photo")
    told = upload(str(folder), "--yes", "--only-accepted")
    assert "c.jpg  rejected: UnsupportedFormat" in told.stderr


def test_scenes_files_that_stand_in_the_bucket_count(folder: Path, account: FakeAccount) -> None:
    account.standing["scenes.json"] = b'{"scenes": {"one": {}, "two": {}, "three": {}}}'
    (folder / "scenes.json").unlink()
    (folder / "a.jpg.scenes.json").unlink()
    told = upload(str(folder / "b.webp"), "--root", str(folder), "--yes")
    assert "1 photo to s3://photos: 3 images, about $0.27" in told.stderr
    assert [asked["Key"] for asked in account.put] == ["b.webp"]


def test_a_scenes_file_that_will_be_replaced_is_named_before_the_question(
    folder: Path, account: FakeAccount
) -> None:
    account.standing["scenes.json"] = b"{}"
    assert "s3://photos/scenes.json will be replaced by another" in upload(str(folder)).stderr
    account.standing["scenes.json"] = (folder / "scenes.json").read_bytes()
    assert "replaced" not in upload(str(folder)).stderr


def test_scenes_files_may_go_ahead_and_cost_nothing(tmp_path: Path, account: FakeAccount) -> None:
    (tmp_path / "scenes.json").write_text('{"scenes": {"room": {}}}')
    assert upload(str(tmp_path)).exit_code == 0
    assert [asked["Key"] for asked in account.put] == ["scenes.json"]


def test_an_image_that_goes_along_and_is_a_photo_itself_does_not_come_before_its_scenes(
    tmp_path: Path, account: FakeAccount
) -> None:
    (tmp_path / "a.jpg").write_bytes(packshot())
    (tmp_path / "rug.jpg").write_bytes(packshot(colour="green"))
    (tmp_path / "scenes.json").write_text('{"scenes": {"room": {"image_2": "rug.jpg"}}}')
    assert upload(str(tmp_path), "--yes").exit_code == 0
    assert account.put[0]["Key"] == "scenes.json"
    assert sorted(asked["Key"] for asked in account.put) == ["a.jpg", "rug.jpg", "scenes.json"]


def test_a_folder_below_the_root_keeps_its_place_and_gets_the_scenes_above(
    folder: Path, account: FakeAccount
) -> None:
    (folder / "sofas").mkdir()
    (folder / "sofas/red.jpg").write_bytes(packshot(colour="red"))
    assert upload(str(folder / "sofas"), "--root", str(folder), "--yes").exit_code == 0
    assert [asked["Key"] for asked in account.put] == ["_props/rug.png", "scenes.json", "sofas/red.jpg"]


def test_who_is_stopped_by_aws_learns_what_went_out(
    folder: Path, account: FakeAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: FakeAccount, **asked: Any) -> None:
        if asked["Key"] == "scenes.json":
            raise EndpointConnectionError(endpoint_url="https://s3.example")

    monkeypatch.setattr(FakeAccount, "put_object", refuse)
    told = upload(str(folder), "--yes")
    assert told.exit_code == 1
    assert "AWS did not do as asked" in told.stderr
    assert told.stderr.endswith("; 2 files sent before\n")


def test_an_empty_folder_is_no_upload(tmp_path: Path, account: FakeAccount) -> None:
    told = upload(str(tmp_path), "--yes")
    assert (told.exit_code, told.stderr) == (1, "There is nothing to send\n")
