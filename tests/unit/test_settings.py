"""Each function's settings come from its environment, and what is wrong there is named."""

from __future__ import annotations

import ast
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from packshot.check_settings import SettingError, parameter_of, read_check_settings
from packshot.scene import Scene
from packshot.settings import FinalizeSettings, Settings, SubmitSettings, read_settings

ROOT = Path(__file__).resolve().parents[2]
COMMON = {"API_KEY_SECRET_ARN": "arn:secret", "SEGMIND_BASE_URL": "https://api.segmind.com"}
SUBMIT = {
    **COMMON,
    "JOB_TABLE_NAME": "jobs",
    "EVENT_BUS_NAME": "packshot",
    "UPLOAD_QUEUE_URL": "https://sqs.example/uploads",
    "WORKFLOW_ARN": "arn:workflow",
    "DEADLINE_SECONDS": "3000",
    "OUTPUT_BUCKET_NAME": "images",
    "IMAGE_TRANSFER": "inline",
    "MAX_PHOTO_BYTES": "20000000",
    "MAX_SUBMITS_PER_JOB": "3",
    "ON_UNCERTAIN_SUBMIT": "person",
    "HISTORY_URL": "",
    "IMAGE_PRICE_USD": "0.0891",
    "REQUESTS_A_MINUTE": "60",
    "SUBMIT_CONCURRENCY": "3",
    "SCENE_PROMPT": "in a bright living room",
    "SCENE_ASPECT_RATIO": "4:5",
    "SCENE_IMAGE_FORMAT": "jpeg",
    "SCENE_QUALITY": "80",
    "SCENE_SEED": "-1",
    "SCENE_IMAGE_2": "https://props.example/vase.jpg",
    "SCENE_IMAGE_3": "",
    "SCENE_BASE64": "true",
    "SCENE_LORA": "product_photography",
    "SCENE_LORA_2_URL": "",
    "SCENE_LORA_3_URL": "https://loras.example/a.safetensors",
}
FINALIZE = {
    **COMMON,
    "JOB_TABLE_NAME": "jobs",
    "EVENT_BUS_NAME": "packshot",
    "OUTPUT_BUCKET_NAME": "images",
    "OUTPUT_HOSTS": "images.segmind.com, 127.0.0.1:8766,Other.Example,",
    "MAX_IMAGE_BYTES": "50000000",
    "IMAGE_CACHE_CONTROL": "",
    "DEADLINE_SECONDS": "900",
    "ON_EXPIRED_RESULT": "resubmit",
    "HISTORY_URL": "https://history.example/requests",
}


def set_to(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    for name in {*SUBMIT, *FINALIZE, "LATE_SECONDS"}:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


def test_the_stacks_scene_is_the_whole_scene(monkeypatch: pytest.MonkeyPatch) -> None:
    set_to(monkeypatch, SUBMIT)
    assert read_settings(SubmitSettings).scene() == Scene(
        prompt="in a bright living room",
        aspect_ratio="4:5",
        image_format="jpeg",
        quality=80,
        seed=-1,
        image_2="https://props.example/vase.jpg",
        base64=True,
        lora_3_url="https://loras.example/a.safetensors",
    )


def test_every_field_of_a_scene_can_be_set() -> None:
    settable = {
        name.removeprefix("scene_") for name in SubmitSettings.model_fields if name.startswith("scene_")
    }
    assert settable == set(Scene.model_fields)


def test_the_rest_of_submits_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    set_to(monkeypatch, SUBMIT)
    settings = read_settings(SubmitSettings)
    assert (settings.image_transfer, settings.max_photo_bytes, settings.max_submits_per_job) == (
        "inline",
        20_000_000,
        3,
    )


def test_output_hosts_are_exact_and_lower_case(monkeypatch: pytest.MonkeyPatch) -> None:
    set_to(monkeypatch, FINALIZE)
    settings = read_settings(FinalizeSettings)
    assert settings.output_hosts == {"images.segmind.com", "127.0.0.1:8766", "other.example"}
    assert settings.image_cache_control is None


@pytest.mark.parametrize(
    ("kind", "environment", "name"),
    [(SubmitSettings, SUBMIT, name) for name in SUBMIT if name.isupper()]
    + [(FinalizeSettings, FINALIZE, name) for name in FINALIZE]
    + [(Settings, COMMON, name) for name in COMMON],
)
def test_what_is_missing_is_named_unless_it_has_a_default(
    monkeypatch: pytest.MonkeyPatch, kind: type[Settings], environment: dict[str, str], name: str
) -> None:
    set_to(monkeypatch, {other: value for other, value in environment.items() if other != name})
    (field,) = [field for field in kind.model_fields.values() if field.alias == name]
    if field.is_required():
        with pytest.raises(SettingError, match=f"^{parameter_of(name)}: "):
            read_settings(kind)
    else:
        read_settings(kind)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SEGMIND_BASE_URL", "api.segmind.com"),
        ("API_KEY_SECRET_ARN", ""),
        ("JOB_TABLE_NAME", ""),
        ("IMAGE_TRANSFER", "pigeon"),
        ("MAX_PHOTO_BYTES", "0"),
        ("MAX_PHOTO_BYTES", "many"),
        ("MAX_SUBMITS_PER_JOB", "0"),
        ("DEADLINE_SECONDS", "soon"),
        ("DEADLINE_SECONDS", "0"),
        ("DEADLINE_SECONDS", "3600"),
        ("SKU_PATTERN", "("),
        ("PATH_TEMPLATE", "{sku}/{stem}/{scene}.{ext}"),
        ("SCENE_QUALITY", "best"),
        ("SCENE_SEED", "random"),
        ("SCENE_BASE64", "perhaps"),
        ("SCENE_PROMPT", ""),
    ],
)
def test_what_is_wrong_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    set_to(monkeypatch, {**SUBMIT, name: value})
    with pytest.raises(SettingError, match=f"^{parameter_of(name)}: "):
        read_settings(SubmitSettings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SCENE_ASPECT_RATIO", "7:5"),
        ("SCENE_IMAGE_FORMAT", "gif"),
        ("SCENE_QUALITY", "101"),
        ("SCENE_SEED", "-2"),
        ("SCENE_IMAGE_2", "http://props.example/vase.jpg"),
        ("SCENE_LORA", "other"),
    ],
)
def test_a_scene_that_the_model_would_not_take_is_named_too(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    set_to(monkeypatch, {**SUBMIT, name: value})
    with pytest.raises(SettingError, match=f"^{parameter_of(name)}: "):
        read_settings(SubmitSettings).scene()


def test_settings_do_not_change_and_are_read_on_call(monkeypatch: pytest.MonkeyPatch) -> None:
    set_to(monkeypatch, COMMON)
    settings = read_settings(Settings)
    with pytest.raises(ValidationError):
        settings.segmind_base_url = "https://elsewhere.test"
    monkeypatch.setenv("SEGMIND_BASE_URL", "https://other.test")
    assert read_settings(Settings).segmind_base_url == "https://other.test"


# -- what the status check reads, which loads no models --

CHECK = {**COMMON, "LATE_SECONDS": "900", "DEADLINE_SECONDS": "3000"}


def test_the_status_check_has_settings_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    set_to(monkeypatch, CHECK)
    read, settings = read_check_settings(), read_settings(Settings)
    assert read.segmind_base_url == settings.segmind_base_url
    assert read.api_key_secret_arn == settings.api_key_secret_arn
    assert (read.late_after, read.deadline) == (timedelta(minutes=15), timedelta(minutes=50))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("API_KEY_SECRET_ARN", ""),
        *(("SEGMIND_BASE_URL", url) for url in ("", "ftp://segmind.test", "https:// ")),
        *((name, value) for name in ("LATE_SECONDS", "DEADLINE_SECONDS") for value in ("", "0", "-1", "1e3")),
    ],
)
def test_a_wrong_one_fails_with_its_name_there_too(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    set_to(monkeypatch, {**CHECK, name: value})
    with pytest.raises(SettingError, match=f"^{parameter_of(name)} "):
        read_check_settings()
    if name in COMMON:
        with pytest.raises(SettingError, match=f"^{parameter_of(name)}: "):
            read_settings(Settings)


def test_the_status_check_imports_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its cold start is paid for with every burst, and its requests are waiting."""
    program = "import sys, functions.check_status.app; print(sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    heavy = {"pydantic", "PIL", "boto3", "packshot.scene", "packshot.settings"}
    assert heavy.isdisjoint(ast.literal_eval(done.stdout))
