"""The API key, in Secrets Manager."""

from __future__ import annotations

from aws_lambda_powertools.utilities.parameters import SecretsProvider
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError
from botocore.exceptions import ClientError

from packshot.aws import CONFIG
from packshot.segmind import NoApiKeyError, ReadKey

CACHE_SECONDS = 300


def api_key_reader(secret_arn: str) -> ReadKey:
    """A function that reads the key, from the cache of this process unless it is asked for a fresh one.

    It raises NoApiKeyError while the secret is empty, as the stack makes it, cannot be read, or holds what no
    header can carry.
    """

    provider = SecretsProvider(boto_config=CONFIG)

    def read_key(fresh: bool) -> str:
        try:
            value = provider.get(secret_arn, max_age=CACHE_SECONDS, force_fetch=fresh)
        except GetParameterError as error:
            raise NoApiKeyError(f"the API key's secret cannot be read: {_code(error)}") from None
        key = str(value).strip()
        if not key or not key.isascii() or not key.isprintable():
            raise NoApiKeyError("the API key's secret holds no usable key")
        return key

    return read_key


def _code(error: GetParameterError) -> str:
    """AWS's name for what is wrong; an empty secret is ResourceNotFoundException."""
    cause = error.__cause__ or error.__context__
    return str(cause.response["Error"]["Code"]) if isinstance(cause, ClientError) else type(cause).__name__
