"""The account and the switches of the emulated Segmind: one object, changed while it runs.

A switch stands for each thing about the API that nobody could find out: the client under test must survive
every position of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AnyHttpUrl, BaseModel, ConfigDict, Field, SecretStr

MODEL = "qwen-image-edit-plus-product-photography"

OutputShape = Literal[
    "url", "list", "object", "images", "output_images", "data_uri", "base64", "json_text", "binary"
]
ExtraMetric = Literal["cost", "remaining_credits", "queue_time", "total_time", "retry_count"]


class Settings(BaseModel):
    """What the emulator is told, at its start or by `PATCH /_emulator/settings`."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    api_key: Annotated[
        SecretStr | None, Field(description="The one valid key; null: any that is not empty.")
    ] = None
    credits_usd: Annotated[float, Field(ge=0, description="The balance, as it stands now.")] = 100.0
    free_credits_usd: Annotated[float, Field(ge=0, description="Reported with the balance, never spent.")] = (
        0.0
    )
    price_usd: Annotated[float, Field(ge=0, description="Of one completed image; the published average.")] = (
        0.0891
    )

    seconds: Annotated[
        float, Field(gt=0, description="Median time from acceptance to the end; the model page says 20.30.")
    ] = 20.3
    sigma: Annotated[float, Field(ge=0, description="Of the lognormal job time; 0: constant.")] = 0.0
    queue_share: Annotated[float, Field(ge=0, le=1, description="Share of the job time that is QUEUED.")] = (
        0.1
    )
    random_seed: Annotated[int, Field(description="Of job times, drawn seeds and the faults' chances.")] = 0

    record_seconds: Annotated[
        float, Field(gt=0, description="Life of a request's record, from submission.")
    ] = 3600.0
    file_seconds: Annotated[float, Field(gt=0, description="Life of an image on the file host.")] = (
        7 * 86400.0
    )

    requests_a_minute: Annotated[int | None, Field(gt=0, description="Rate limit; null: none.")] = None
    polls_count: Annotated[bool, Field(description="Status and result calls count against the limit.")] = (
        False
    )
    rate_limit_headers: Annotated[
        Literal["none", "reset_at", "retry_after", "both"], Field(description="What a 429 carries.")
    ] = "none"

    validate_at: Annotated[
        Literal["submit", "work"],
        Field(description="A bad value is refused at once, or accepted and FAILED as the SDK's tests show."),
    ] = "submit"
    rejected_value_status: Annotated[Literal[400, 406], Field(description="Code of a refused value.")] = 400
    unknown_parameter: Annotated[
        Literal["ignore", "reject"], Field(description="A parameter that is not on the model page.")
    ] = "ignore"
    max_body_bytes: Annotated[int | None, Field(gt=0, description="413 above it; null: no limit.")] = None
    content_filter: Annotated[
        tuple[str, ...],
        Field(description="A prompt with one of these, whatever its case, is accepted and then FAILED."),
    ] = ("forbidden-content",)

    output_shape: Annotated[OutputShape, Field(description="How a v2 result gives the image.")] = "url"
    base64_output_shape: Annotated[OutputShape, Field(description="The same for base64=true.")] = "base64"
    sync_base64_shape: Annotated[
        Literal["text", "json", "data_uri"], Field(description="What v1 answers for base64=true.")
    ] = "text"
    extra_metrics: Annotated[
        frozenset[ExtraMetric], Field(description="Metrics of a completed request beside inference_time.")
    ] = frozenset()
    pictures: Annotated[
        Literal["scene", "plain"],
        Field(description="What is painted; `plain` is one colour, for whoever measures something else."),
    ] = "scene"
    lower_case_statuses: Annotated[bool, Field(description="`completed` instead of `COMPLETED`.")] = False

    api_url: Annotated[
        AnyHttpUrl | None, Field(description="Host in status_url and response_url; null: the one called.")
    ] = None
    files_url: Annotated[
        AnyHttpUrl | None, Field(description="Host of image URLs; null: the one called.")
    ] = None

    history_knows_v2: Annotated[bool, Field(description="The request history resolves v2 ids.")] = True
    history_rows_key: Annotated[str, Field(description="Key of the rows in a page of the history.")] = "data"

    def change(self, changes: Mapping[str, Any]) -> None:
        """Take some new values, all or none of them; raises pydantic's ValidationError."""
        changed = Settings.model_validate({**self.model_dump(), **changes})
        for name in changes:
            setattr(self, name, getattr(changed, name))
