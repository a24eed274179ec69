"""Nothing that the stack writes or tells holds what must stay where it is."""

from __future__ import annotations

import json
from itertools import chain

from tests.leaks import leaks, written
from tests.photos import packshot
from tests.shop import Shop


def test_nothing_holds_the_key_or_a_presigned_url(shop: Shop) -> None:
    """A photo that is made, one that fails and one that is none. Each test's cloud is searched at its end."""
    shop.upload("leaks/made.jpg", packshot())
    shop.upload("leaks/fails.jpg", packshot(), {"packshot-prompt": "forbidden-content"})
    shop.upload("leaks/none.jpg", b"not a picture")
    shop.event("leaks/made.jpg", "Photo Completed")
    shop.event("leaks/fails.jpg", "Photo Completed")
    shop.event("leaks/none.jpg", "Photo Rejected")
    told = (("an event", json.dumps(event)) for event in shop.seen)
    texts = list(chain(written(shop.cloud), told))
    assert {"the table", "the variables", "an execution", "an event"} <= {where for where, _ in texts}
    assert any("LogGroup" in where for where, _ in texts)
    assert leaks(texts, shop.cloud.api_key) == set()


def test_a_leak_would_be_found() -> None:
    texts = [("a log", "…?X-Amz-Signature=abc"), ("a row", "key SG_1"), ("a manifest", "nothing")]
    assert leaks(texts, "SG_1") == {("a log", "X-Amz-Signature"), ("a row", "the API key")}
