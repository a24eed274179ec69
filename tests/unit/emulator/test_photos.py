from __future__ import annotations

import base64
import hashlib

import pytest
import requests

from packshot_cli.emulator.photos import PhotoError, read_photo, shown, without_query

BYTES = b"\x89PNG and so on"
TEXT = base64.b64encode(BYTES).decode()


@pytest.mark.parametrize("photo", [TEXT, f"data:image/png;base64,{TEXT}", f"DATA:image/x;a=b;base64,{TEXT}"])
def test_bare_base64_and_data_uris_are_decoded(photo: str) -> None:
    assert read_photo("image_1", photo) == BYTES


@pytest.mark.parametrize(
    "photo", ["ftp://host/photo.png", "data:image/png,plain", "abc", "a b c d", "file:///x"]
)
def test_what_is_neither_url_nor_base64_is_refused_by_name(photo: str) -> None:
    with pytest.raises(PhotoError, match="image_2"):
        read_photo("image_2", photo)


def test_a_download_that_fails_is_told_without_the_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise requests.ConnectionError("could not reach https://host/photo.png?X-Amz-Signature=secret")

    monkeypatch.setattr(requests.Session, "get", fail)
    with pytest.raises(PhotoError) as failed:
        # pragma: allowlist nextline secret
        read_photo("image_1", "https://me:pass@host/photo.png?X-Amz-Signature=secret")
    assert str(failed.value) == "Failed to download image_1: ConnectionError from https://host/photo.png"
    assert failed.value.__cause__ is None
    assert failed.value.__suppress_context__


@pytest.mark.parametrize("url", ["http://[::1", "https://", "http://host:notaport/x?secret"])
def test_a_malformed_url_is_a_photo_error_too(url: str) -> None:
    with pytest.raises(PhotoError) as failed:
        read_photo("image_1", url)
    assert "secret" not in str(failed.value)


def test_a_url_is_shown_without_user_query_and_fragment() -> None:
    assert without_query("https://u:p@host:80/a@b/c?x=1/@2#f") == "https://host:80/a@b/c"
    assert without_query("https://host/a#f@x") == "https://host/a"


def test_a_body_is_shown_without_base64_and_queries() -> None:
    digest = hashlib.sha256(TEXT.encode()).hexdigest()
    body = {
        "prompt": "a sofa? yes",
        "seed": 5,
        "image_1": f"data:image/png;base64,{TEXT}",
        "image_2": TEXT,
        "image_3": "https://host/photo.png?X-Amz-Signature=secret",
        "lora_2_url": "https://host/lora?token=secret",
        "other": f"data:image/png;base64,{TEXT}",
    }
    assert shown(body) == {
        "prompt": "a sofa? yes",
        "seed": 5,
        "image_1": f"data:image/png;base64,<{len(TEXT)} characters, sha256 {digest}>",
        "image_2": f"<{len(TEXT)} characters, sha256 {digest}>",
        "image_3": "https://host/photo.png",
        "lora_2_url": "https://host/lora",
        "other": f"data:image/png;base64,<{len(TEXT)} characters, sha256 {digest}>",
    }
