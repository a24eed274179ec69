"""The photos that a request names: fetched when it is worked on, cut out wherever it is shown."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from typing import Any

import requests

MAX_PHOTO_BYTES = 50_000_000
TIMEOUT_SECONDS = (5.0, 30.0)
PHOTO_PARAMETERS = ("image_1", "image_2", "image_3")

_URL = re.compile(r"https?://", re.IGNORECASE)
_USER_OR_QUERY = re.compile(r"(?<=//)[^/?#@]*@|[?#].*", re.DOTALL)
_DATA_URI_HEAD = re.compile(r"data:[^,]*;base64,", re.IGNORECASE)


class PhotoError(Exception):
    """A photo that cannot be had; the text says which and why, without the URL's query."""


def read_photo(name: str, photo: str) -> bytes:
    """The bytes behind a URL, a data URI or bare base64; raises PhotoError, naming the parameter `name`."""
    if _URL.match(photo):
        return _download(name, photo)
    try:
        return base64.b64decode(_DATA_URI_HEAD.sub("", photo, count=1), validate=True)
    except binascii.Error:
        raise PhotoError(f"Failed to read {name}: neither an http(s) URL nor valid base64") from None


def _download(name: str, url: str) -> bytes:
    content = bytearray()
    try:
        with requests.Session() as session:
            # Neither a proxy nor a .netrc of this machine: the first would hide loopback, the second would
            # add a header that an S3 presigned URL refuses.
            session.trust_env = False
            with session.get(url, timeout=TIMEOUT_SECONDS, stream=True) as response:
                if response.status_code != requests.codes.ok:
                    raise PhotoError(
                        f"Failed to download {name}: HTTP {response.status_code} from {without_query(url)}"
                    )
                for chunk in response.iter_content(65536):
                    content += chunk
                    if len(content) > MAX_PHOTO_BYTES:
                        raise PhotoError(f"Failed to download {name}: larger than {MAX_PHOTO_BYTES} bytes")
    except requests.RequestException as error:
        # The exception's own text quotes the whole URL, signature included.
        raise PhotoError(
            f"Failed to download {name}: {type(error).__name__} from {without_query(url)}"
        ) from None
    return bytes(content)


def without_query(url: str) -> str:
    """A URL fit to be shown: without user, query and fragment, which may carry credentials."""
    return _USER_OR_QUERY.sub("", url)


def shown(body: Mapping[str, Any]) -> dict[str, Any]:
    """A request's body fit to be shown: base64 replaced by its length and digest, URLs without queries."""
    return {name: _shown_value(name, value) for name, value in body.items()}


def _shown_value(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if _URL.match(value):
        return without_query(value)
    head = _DATA_URI_HEAD.match(value)
    if head is None and name not in PHOTO_PARAMETERS:
        return value
    start = head.end() if head else 0
    digest = hashlib.sha256(value[start:].encode()).hexdigest()
    return f"{value[:start]}<{len(value) - start} characters, sha256 {digest}>"
