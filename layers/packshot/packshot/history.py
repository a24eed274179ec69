"""Segmind's request history: the second chance to learn of a request whose answer or record is gone.

It is on no page of the API's documentation: its address, query and rows are those of the official SDK (1.3.0,
`generations.py`). It is asked only where someone has set its address, since the API key goes there too;
whatever it answers, nothing is decided by it alone.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import requests

from packshot.http_session import NoRedirectSession
from packshot.model import MODEL
from packshot.segmind import USER_AGENT, NoApiKeyError, ReadKey, read_body
from packshot.segmind_answers import REQUEST_ID

TIMEOUT_SECONDS = 10.0
ROWS_A_PAGE = 100
MOST_PAGES = 5
MAX_PAGE_BYTES = 8 * 1024 * 1024
# The clocks of both sides, and midnight.
MARGIN = timedelta(days=1)


@dataclass(frozen=True)
class RequestHistory:
    """The history at one address; nowhere, it knows nothing."""

    url: str | None
    read_key: ReadKey
    session: NoRedirectSession
    now: Callable[[], datetime]

    def find(self, marker: str, since: datetime) -> str | None:
        """The id of the request whose parameters carry this marker; None when none is found."""
        for page in range(1, MOST_PAGES + 1):
            rows = self._page(page, since)
            for row in rows:
                request_id = row.get("request_id")
                if (
                    marker in json.dumps(row.get("request_body"))
                    and isinstance(request_id, str)
                    and REQUEST_ID.fullmatch(request_id)
                ):
                    return request_id
            if len(rows) < ROWS_A_PAGE:
                return None
        return None

    def output_url(self, request_id: str) -> str | None:
        """Where the image of a request is; None when that is not told."""
        answer = self._get(f"/{quote(request_id, safe='')}", {})
        url = next((row["generation_url"] for row in _rows(answer) if row.get("generation_url")), None)
        return url if isinstance(url, str) else None

    def _page(self, page: int, since: datetime) -> list[dict[str, Any]]:
        query = {
            "page": page,
            "per_page": ROWS_A_PAGE,
            "from_date": (since - MARGIN).date().isoformat(),
            "to_date": (self.now() + MARGIN).date().isoformat(),
            "model_name": MODEL,
        }
        return list(_rows(self._get("", query)))

    def _get(self, path: str, query: dict[str, Any]) -> Any:
        if self.url is None:
            return None
        ends_at = time.monotonic() + TIMEOUT_SECONDS
        try:
            with self.session.get(
                self.url.rstrip("/") + path,
                params=query,
                headers={"x-api-key": self.read_key(False), "User-Agent": USER_AGENT},
                timeout=TIMEOUT_SECONDS,
                allow_redirects=False,
                stream=True,
            ) as response:
                return (
                    json.loads(read_body(response, ends_at, MAX_PAGE_BYTES))
                    if response.status_code == 200
                    else None
                )
        except (requests.exceptions.RequestException, NoApiKeyError, ValueError, RecursionError):
            return None


def _rows(answer: Any) -> Iterator[dict[str, Any]]:
    """The rows of an answer: a list, a row, or an object that holds either under some name."""
    match answer:
        case list():
            yield from (row for row in answer if isinstance(row, dict))
        case {"request_id": _}:
            yield answer
        case dict():
            for value in answer.values():
                if isinstance(value, list) or (isinstance(value, dict) and "request_id" in value):
                    yield from _rows(value)
