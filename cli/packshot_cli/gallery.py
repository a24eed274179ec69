"""The page that shows each photo beside its scene: one HTML file, and nothing from outside its folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from pathlib import Path
from urllib.parse import quote

from packshot.job import Job, JobState
from packshot.pictures import Picture
from packshot_cli.text import bytes_in_words, counted

# In the head of every page of ours, and what another run knows it by.
GENERATOR = '<meta name="generator" content="packshot demo">'
_STYLE_FILE = Path(__file__).with_name("gallery.css")
_FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WebP"}
_UNKNOWN = "unknown"


@dataclass(frozen=True)
class Exhibit:
    """A photo and what became of it in one scene.

    The files are paths relative to the page. `photo` is None when the file is not a picture, `image_file`
    when there is no image, `job` when no row was seen. `seconds` run from the upload to the end.
    """

    photo_key: str
    photo_file: str
    photo: Picture | None
    job: Job | None
    image_file: str | None
    seconds: float | None


@dataclass(frozen=True)
class Gallery:
    """All that a page shows. `emulated` tells that no model made the pictures."""

    exhibits: Sequence[Exhibit]
    emulated: bool
    total_seconds: float
    made_at: datetime


def page(gallery: Gallery) -> str:
    """The page as HTML. Whatever comes from outside is escaped."""
    photos = len({exhibit.photo_key for exhibit in gallery.exhibits})
    scenes = sum(exhibit.image_file is not None for exhibit in gallery.exhibits)
    title = f"{counted(photos, 'photo')}, {counted(scenes, 'scene')}"
    shown = "\n".join(_exhibit(exhibit, gallery.emulated) for exhibit in gallery.exhibits)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
{GENERATOR}
<title>{title} · Packshot</title>
<link rel="icon" href="data:,">
<style>
{_STYLE_FILE.read_text(encoding="utf-8")}</style>
</head>
<body>
<header>
<p class="mark">Packshot</p>
<h1>{title}</h1>
<p class="lead">{_lead(gallery)}</p>
{_note(gallery.emulated)}
</header>
<main>
{shown}
</main>
<footer>
<p>Made on <time datetime="{gallery.made_at.isoformat()}">{gallery.made_at:%-d %B %Y, %H:%M} UTC</time>
by <code>packshot demo</code>. All that is shown is in the folder of this page.</p>
</footer>
</body>
</html>
"""


def _lead(gallery: Gallery) -> str:
    took = f"<strong>{gallery.total_seconds:.1f} seconds</strong> from the first upload to the last image"
    if not any(exhibit.image_file for exhibit in gallery.exhibits):
        return f"No image came within <strong>{gallery.total_seconds:.1f} seconds</strong>."
    if gallery.emulated:
        return f"{took}, on this machine alone."
    costs = [exhibit.job.cost_usd if exhibit.job else None for exhibit in gallery.exhibits]
    known = [cost for cost in costs if cost is not None]
    cost = f"${sum(known):.4f}" if len(known) == len(costs) else _UNKNOWN
    return f"{took}. Cost, by what the API told: <strong>{cost}</strong>."


def _note(emulated: bool) -> str:
    if not emulated:
        return ""
    return (
        '<p class="note"><strong>The scenes are emulated.</strong> The photos went the real way, through the '
        "whole stack; but an emulator of Segmind&rsquo;s API painted the scenes, on this machine. They show "
        "that it works, not what the model makes of a product. Nothing was paid.</p>"
    )


def _exhibit(exhibit: Exhibit, emulated: bool) -> str:
    name = escape(exhibit.photo_key.rsplit("/", 1)[-1])
    job = exhibit.job
    prompt = f'<p class="prompt">{escape(job.parameters.prompt)}</p>' if job and job.parameters else ""
    facts = "\n".join(
        f"<div><dt>{term}</dt><dd>{fact}</dd></div>" for term, fact in _facts(exhibit, emulated)
    )
    return f"""<article>
<h2>{name}</h2>
<div class="pair">
{_photo(exhibit, name)}
{_scene(exhibit, name, emulated)}
</div>
<div class="words">
{prompt}
<dl>
{facts}
</dl>
</div>
</article>"""


def _photo(exhibit: Exhibit, name: str) -> str:
    if exhibit.photo is None:
        shown = '<div class="missing"><p>This file is not a picture that can be shown.</p></div>'
    else:
        picture = exhibit.photo
        shown = _picture(exhibit.photo_file, f"The photo {name}", picture.width, picture.height)
    return f'<figure class="photo">{shown}<figcaption>Photo</figcaption></figure>'


def _scene(exhibit: Exhibit, name: str, emulated: bool) -> str:
    job = exhibit.job
    scene = f" · {escape(job.scene)}" if job else ""
    if exhibit.image_file is None or job is None or job.image is None:
        return (
            f'<figure class="scene"><div class="missing">{_why(job)}</div>'
            f"<figcaption>No scene{scene}</figcaption></figure>"
        )
    prompt = f": {escape(job.parameters.prompt)}" if job.parameters else ""
    kind = "An emulated scene" if emulated else "A scene"
    shown = _picture(exhibit.image_file, f"{kind} of {name}{prompt}", job.image.width, job.image.height)
    mark = ' <span class="emulated">emulated</span>' if emulated else ""
    return f'<figure class="scene">{shown}<figcaption>Scene{scene}{mark}</figcaption></figure>'


def _picture(file: str, alt: str, width: int, height: int) -> str:
    """A picture that is a link to itself; the alternative text is escaped already."""
    address = escape(quote(file))
    return f'<a href="{address}"><img src="{address}" alt="{alt}" width="{width}" height="{height}"></a>'


def _why(job: Job | None) -> str:
    if job is None:
        return "<p>The upload was not seen by the stack.</p>"
    if job.error is None:
        return f"<p>It was still {job.state} when the demo ended.</p>"
    return (
        f'<p class="code">{escape(job.state)} · {escape(job.error.code)}</p>'
        f"<blockquote>{escape(job.error.message)}</blockquote>"
    )


def _facts(exhibit: Exhibit, emulated: bool) -> Iterable[tuple[str, str]]:
    """Terms and facts, both as HTML."""
    job = exhibit.job
    if job is None:
        yield "State", "uploaded"
        return
    ended_well = job.state is JobState.COMPLETED
    yield "State", f'<span class="{"good" if ended_well else "bad"}">{escape(job.state)}</span>'
    if exhibit.seconds is not None:
        yield "Photo to image" if job.image else "After", f"{exhibit.seconds:.1f} s"
    if job.request_id:
        yield "Inference", _UNKNOWN if job.inference_seconds is None else f"{job.inference_seconds:.1f} s"
        yield "Cost", _cost(job, emulated)
    if job.image:
        yield "Size", f"{job.image.width} &times; {job.image.height} px"
        yield "Bytes", f'<span title="{job.image.bytes:,} bytes">{bytes_in_words(job.image.bytes)}</span>'
        yield "Format", escape(_FORMATS.get(job.image.content_type, job.image.content_type))
        yield "Image", f"<code>{escape(job.image.key)}</code>"
    if job.seed is not None:
        yield "Seed", str(job.seed)
    if job.request_id:
        yield "Request", f"<code>{escape(job.request_id)}</code>"


def _cost(job: Job, emulated: bool) -> str:
    if emulated:
        return "nothing: emulated"
    return _UNKNOWN if job.cost_usd is None else f"${job.cost_usd:.4f}"
