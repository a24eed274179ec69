"""The HTTP session of every call: it knows no redirects."""

from __future__ import annotations

import logging

import requests

# It remarks on odd headers with the whole URL, and a URL may be signed.
logging.getLogger("urllib3").setLevel(logging.ERROR)


class NoRedirectSession(requests.Session):
    """Answers a redirect as it is.

    requests parses the address of a redirect that is not to be followed, and reads its body to the end.
    """

    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002
        """None: nothing is a redirect."""
        return
