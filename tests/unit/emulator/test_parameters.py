from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packshot_cli.emulator.parameters import ParameterError, Parameters, read_parameters

PROMPT = {"prompt": "on a table"}

NOT_A_STRING = (5, True, ["a"], {"url": "a"})
REFUSED: dict[str, tuple[Any, ...]] = {
    "prompt": (None, "", "  \n", *NOT_A_STRING),
    "image_1": NOT_A_STRING,
    "image_2": NOT_A_STRING,
    "image_3": NOT_A_STRING,
    "lora": (None, "", "other", 1),
    "lora_2_url": ("ftp://a/b", "a/b", 1),
    "lora_3_url": ("ftp://a/b", "a/b", 1),
    "aspect_ratio": (None, "1:2", "match", 1.0),
    "seed": (-2, 2**31, 1.0, "1", True),
    "image_format": (None, "jpg", "gif", "WEBP"),
    "quality": (None, 0, 101, 95.0, "95", True),
    "base64": (None, 0, "true"),
}


def test_what_is_left_out_is_what_the_model_page_says() -> None:
    assert read_parameters(PROMPT, reject_unknown=True).model_dump() == {
        "prompt": "on a table",
        "image_1": None,
        "image_2": None,
        "image_3": None,
        "lora": "product_photography",
        "lora_2_url": None,
        "lora_3_url": None,
        "aspect_ratio": "match_input_image",
        "seed": None,
        "image_format": "webp",
        "quality": 95,
        "base64": False,
    }


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in REFUSED for value in REFUSED[name]])
def test_a_value_that_the_page_forbids_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ParameterError, match=f"^{name}: "):
        read_parameters({**PROMPT, name: value}, reject_unknown=False)


def test_every_parameter_has_values_that_are_refused() -> None:
    assert REFUSED.keys() == Parameters.model_fields.keys()


@pytest.mark.parametrize("name", ["image_1", "image_2", "image_3", "lora_2_url", "lora_3_url", "seed"])
def test_a_parameter_whose_default_is_null_may_be_null(name: str) -> None:
    assert getattr(read_parameters({**PROMPT, name: None}, reject_unknown=True), name) is None


@given(seed=st.integers(-1, 2**31 - 1), quality=st.integers(1, 100))
def test_every_value_between_the_bounds_is_taken(seed: int, quality: int) -> None:
    taken = read_parameters({**PROMPT, "seed": seed, "quality": quality}, reject_unknown=True)
    assert (taken.seed, taken.quality) == (seed, quality)


@pytest.mark.parametrize(
    "ratio",
    ["match_input_image", "1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9"],
)
def test_the_eleven_aspect_ratios_are_taken(ratio: str) -> None:
    assert read_parameters({**PROMPT, "aspect_ratio": ratio}, reject_unknown=True).aspect_ratio == ratio


def test_a_missing_prompt_is_named() -> None:
    with pytest.raises(ParameterError, match=r"^prompt: Field required$"):
        read_parameters({}, reject_unknown=False)


def test_all_that_is_wrong_is_said_at_once_without_the_values() -> None:
    with pytest.raises(ParameterError) as refused:
        read_parameters({"prompt": "x", "quality": 4711, "lora": "a-secret"}, reject_unknown=False)
    assert re.match(r"lora: .*; quality: ", str(refused.value))
    assert "4711" not in str(refused.value)
    assert "a-secret" not in str(refused.value)


def test_an_unknown_parameter_is_ignored_or_refused() -> None:
    body = {**PROMPT, "steps": 5, "guidance": 2}
    assert read_parameters(body, reject_unknown=False).prompt == "on a table"
    with pytest.raises(ParameterError, match=r"^Unknown parameter: guidance, steps$"):
        read_parameters(body, reject_unknown=True)


def test_only_photos_that_were_given_are_fetched() -> None:
    given_two = read_parameters({**PROMPT, "image_1": "a", "image_3": "c"}, reject_unknown=True)
    assert given_two.photos == {"image_1": "a", "image_3": "c"}
