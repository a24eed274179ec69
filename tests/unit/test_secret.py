"""The API key is read from its secret, kept for a while, and read again on demand."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from botocore.stub import Stubber

from packshot.secret import api_key_reader
from packshot.segmind import NoApiKeyError, ReadKey
from tests.unit.aws import a_client, stubbed

ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:key-1a2b3c"
ASKED = {"SecretId": ARN}


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    """The secret's service, for readers made meanwhile."""
    client = a_client("secretsmanager")
    monkeypatch.setattr("packshot.secret.secrets_client", lambda: client)
    with stubbed(client) as stub:
        yield stub


@pytest.fixture
def read_key(stub: Stubber) -> ReadKey:
    return api_key_reader(ARN)


def holds(stub: Stubber, value: str) -> None:
    stub.add_response("get_secret_value", {"SecretString": value}, ASKED)


def test_the_key_is_the_secrets_text(stub: Stubber, read_key: ReadKey) -> None:
    holds(stub, " SG_0123456789abcdef\n")
    assert read_key(False) == "SG_0123456789abcdef"


def test_the_key_is_kept_and_read_again_when_asked_for_fresh(stub: Stubber, read_key: ReadKey) -> None:
    holds(stub, "old")
    holds(stub, "new")
    assert [read_key(False), read_key(False), read_key(True), read_key(False)] == ["old", "old", "new", "new"]


def test_an_empty_secret_is_no_key_until_it_is_filled(stub: Stubber, read_key: ReadKey) -> None:
    """A secret that the stack made has no value: AWS answers that it finds none."""
    stub.add_client_error(
        "get_secret_value", "ResourceNotFoundException", "can't find the specified secret value"
    )
    holds(stub, "filled")
    with pytest.raises(NoApiKeyError):
        read_key(False)
    assert read_key(False) == "filled"


@pytest.mark.parametrize("value", [" ", "\n", "two\nlines", "schlüssel", "tab\there", "nul\0"])
def test_a_text_that_no_header_can_carry_is_no_key_and_is_not_told(
    stub: Stubber, read_key: ReadKey, value: str
) -> None:
    holds(stub, value)
    with pytest.raises(NoApiKeyError) as refusal:
        read_key(False)
    assert not value.strip() or value.strip() not in str(refusal.value)


@pytest.mark.parametrize("code", ["AccessDeniedException", "ThrottlingException", "DecryptionFailure"])
def test_a_secret_that_cannot_be_read_is_no_key_and_says_why(
    stub: Stubber, read_key: ReadKey, code: str
) -> None:
    """Nothing is sent then, so it must not look like a lost answer to whoever holds a claim."""
    stub.add_client_error("get_secret_value", code)
    with pytest.raises(NoApiKeyError, match=code):
        read_key(False)
