"""The page: everything about every photo is on it, and nothing on it comes from anywhere else."""

from __future__ import annotations

from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from packshot.job import Image, Job, JobState, Reason
from packshot.pictures import Picture
from packshot.scene import Scene
from packshot_cli.gallery import GENERATOR, Exhibit, Gallery, page
from tests.unit.fakes import a_job

MADE_AT = datetime(2026, 3, 14, 9, 30, tzinfo=UTC)
VOID_ELEMENTS = {"img", "link", "meta"}


class Page(HTMLParser):
    """What a reader of the page gets: its text, its pictures, its addresses; and whether its tags match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.pictures: list[dict[str, str]] = []
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.facts: dict[str, str] = {}
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []
        self.text = " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        self.addresses += [given[name] for name in ("href", "src") if name in given]
        if tag == "img":
            self.pictures.append(given)
        if tag not in VOID_ELEMENTS:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "style":
            return
        self.texts.append(data)
        if "dt" in self._open:
            self._term = data
        elif "dd" in self._open:
            self.facts[self._term] = data


def an_image(**known: Any) -> Image:
    details: dict[str, Any] = {
        "bucket": "out",
        "key": "catalogue/red/default.webp",
        "version_id": None,
        "bytes": 182_345,
        "content_type": "image/webp",
        "width": 1024,
        "height": 768,
        **known,
    }
    return Image(**details)


def an_exhibit(job: Job | None, **known: Any) -> Exhibit:
    image_file = job.image.key if job and job.image else None
    details: dict[str, Any] = {
        "photo_key": "catalogue/red.jpg",
        "photo_file": "photos/catalogue/red.jpg",
        "photo": Picture("jpeg", 640, 480),
        "job": job,
        "image_file": image_file,
        "seconds": 6.25,
        **known,
    }
    return Exhibit(**details)


COMPLETED = a_job(
    JobState.COMPLETED, image=an_image(), request_id="request-1", inference_seconds=4.96, seed=123456
)


def read(*exhibits: Exhibit, emulated: bool = True) -> Page:
    return Page(page(Gallery(exhibits, emulated, 12.3, MADE_AT)))


def test_a_photo_stands_beside_its_scene_with_all_its_facts() -> None:
    shown = read(an_exhibit(COMPLETED), emulated=False)

    photo, scene = shown.pictures
    assert (photo["src"], photo["width"], photo["height"]) == ("photos/catalogue/red.jpg", "640", "480")
    assert (scene["src"], scene["width"], scene["height"]) == ("catalogue/red/default.webp", "1024", "768")
    assert "red.jpg" in photo["alt"]
    assert "in a bright living room" in scene["alt"]
    assert shown.facts == {
        "State": "COMPLETED",
        "Photo to image": "6.2 s",
        "Inference": "5.0 s",
        "Cost": "unknown",
        "Size": "1024 × 768 px",  # noqa: RUF001
        "Bytes": "182 kB",
        "Format": "WebP",
        "Seed": "123456",
        "Image": "catalogue/red/default.webp",
        "Request": "request-1",
    }
    assert "in a bright living room" in shown.text
    assert "1 photo, 1 scene" in shown.text


def test_an_emulated_scene_costs_nothing() -> None:
    assert read(an_exhibit(COMPLETED)).facts["Cost"] == "nothing: emulated"


def test_of_what_was_never_sent_nothing_is_said_to_be_unknown() -> None:
    rejected = a_job(
        JobState.REJECTED, seed=None, error=Reason(code="EmptyFile", message="the file is empty")
    )
    shown = read(an_exhibit(rejected, image_file=None), emulated=False)
    assert shown.facts == {"State": "REJECTED", "After": "6.2 s"}
    assert "No image came within" in shown.text


def test_nothing_comes_from_outside_the_folder() -> None:
    html = page(Gallery([an_exhibit(COMPLETED)], True, 12.3, MADE_AT))

    assert "script" not in Page(html).tags
    assert "@import" not in html
    assert "url(" not in html
    assert "//" not in html
    assert GENERATOR in html
    assert set(Page(html).addresses) == {
        "data:,",
        "photos/catalogue/red.jpg",
        "catalogue/red/default.webp",
    }


def test_emulated_scenes_are_called_so_and_real_ones_are_not() -> None:
    emulated = read(an_exhibit(COMPLETED))
    real = read(an_exhibit(COMPLETED), emulated=False)

    assert "The scenes are emulated." in emulated.text
    assert "emulated" in emulated.pictures[1]["alt"]
    assert "emulated" not in real.text
    assert "emulated" not in real.pictures[1]["alt"]


@pytest.mark.parametrize(
    ("costs", "words"),
    [((0.0891, 0.1), "$0.1891"), ((0.0891, None), "unknown"), ((None, None), "unknown")],
)
def test_a_sum_of_costs_is_told_only_when_each_is_known(costs: tuple[float | None, ...], words: str) -> None:
    jobs = [COMPLETED.model_copy(update={"cost_usd": cost}) for cost in costs]

    assert f"by what the API told: {words} ." in read(*map(an_exhibit, jobs), emulated=False).text


def test_a_failure_is_shown_with_the_words_of_the_api() -> None:
    reason = Reason(
        code="GenerationFailed", message="Content blocked: the prompt violates the content policy"
    )
    failed = read(an_exhibit(a_job(JobState.FAILED, error=reason)))

    assert reason.message in failed.text
    assert "FAILED · GenerationFailed" in failed.text
    assert "1 photo, 0 scenes" in failed.text
    assert len(failed.pictures) == 1


def test_what_is_not_there_is_said() -> None:
    unseen = read(an_exhibit(None, seconds=None, photo=None))
    unfinished = read(an_exhibit(a_job(JobState.SUBMITTED)))

    assert "not a picture" in unseen.text
    assert "was not seen" in unseen.text
    assert unseen.pictures == []
    assert "still SUBMITTED" in unfinished.text


def test_two_scenes_of_a_photo_are_one_photo() -> None:
    other = COMPLETED.model_copy(update={"scene": "garden"})

    assert "1 photo, 2 scenes" in read(an_exhibit(COMPLETED), an_exhibit(other)).text


def a_failure(text: str) -> Exhibit:
    """An exhibit in which everything that comes from outside is this text."""
    job = a_job(
        JobState.FAILED,
        scene=text,
        parameters=Scene(prompt=text),
        error=Reason(code=text, message=text),
        image_key=text,
        request_id=text,
    )
    name = text.replace("/", "_")
    return an_exhibit(job, photo_key=f"catalogue/{name}", photo_file=f"photos/catalogue/{name}")


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(str.strip))
@example("<script>alert(1)</script>")
@example('"><img src=x onerror=alert(1)>')
@example("&lt;b&gt; 'quoted' \"twice\" --> <!--")
def test_foreign_text_is_text_whatever_it_holds(text: str) -> None:
    exhibit = a_failure(text)
    shown = read(exhibit)

    assert " ".join(text.split()) in shown.text
    assert shown.tags == read(a_failure("plain")).tags
    assert shown.pictures[0]["alt"] == f"The photo {exhibit.photo_key.removeprefix('catalogue/')}"
    assert unquote(shown.pictures[0]["src"]) == exhibit.photo_file
