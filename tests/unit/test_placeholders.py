"""Placeholders: what fills them, what is none, and what is told of those that nobody defined."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packshot.placeholders import PlaceholderError, UnknownPlaceholderError, fill, names_in

names = st.from_regex(r"[a-z][a-z0-9_]{0,63}", fullmatch=True)
values = st.text(max_size=20)


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("the {product} on {surface}", "the sofa on {oak}"),
        ("{product}{product}", "sofasofa"),
        ("no placeholder", "no placeholder"),
        ("", ""),
        ("{{product}}", "{product}"),
        ("{{{product}}}", "{sofa}"),
        ("}}{{", "}{"),
        ("{nothing}", ""),
    ],
)
def test_a_placeholder_stands_for_its_value(text: str, filled: str) -> None:
    assert fill(text, {"product": "sofa", "surface": "{oak}", "nothing": ""}) == filled


@given(st.lists(st.tuples(values, names), max_size=5), st.dictionaries(names, values))
def test_whatever_stands_around_it_and_in_it_arrives_as_it_is(
    pieces: list[tuple[str, str]], known: dict[str, str]
) -> None:
    known |= {name: f"{{{name}}}}}{{" for _, name in pieces}
    template = "".join(text.replace("{", "{{").replace("}", "}}") + f"{{{name}}}" for text, name in pieces)
    assert fill(template, known) == "".join(text + known[name] for text, name in pieces)
    assert names_in(template) == [name for _, name in pieces]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{", "a brace on its own, { or }"),
        ("a } b", "a brace on its own, { or }"),
        ("{product", "a brace on its own, { or }"),
        ("{{product}", "a brace on its own, { or }"),
        ("{}", '"{}"'),
        ("{Product}", '"{Product}"'),
        ("{my product}", '"{my product}"'),
        ("{ product }", '"{ product }"'),
        ("{0}", '"{0}"'),
        ("{_a}", '"{_a}"'),
        ("{product.__class__}", '"{product.__class__}"'),
        ("{product[0]}", '"{product[0]}"'),
        ("{product!r}", '"{product!r}"'),
        ("{product:>9999999999}", '"{product:>9999999999}"'),
        ("{produit_é}", '"{produit_\\u00e9}"'),
        ("{" + "x" * 65 + "}", '"{' + "x" * 40 + '}"'),
    ],
)
def test_braces_that_are_no_placeholders_are_refused_with_what_is_allowed(text: str, found: str) -> None:
    for use in (names_in, lambda text: fill(text, {"product": "sofa"})):
        with pytest.raises(PlaceholderError, match="a brace that is meant is written twice") as refusal:
            use(text)
        assert refusal.value.found == found


def test_unknown_names_are_told_once_each_and_the_known_ones_in_order() -> None:
    with pytest.raises(UnknownPlaceholderError) as refusal:
        fill("{colour} {product} {size} {colour}", {"stem": "", "product": "", "folder": ""})
    assert refusal.value.unknown == "{colour}, {size}"
    assert refusal.value.known == "{folder}, {product}, {stem}"
    assert str(refusal.value) == "{colour}, {size}; known are {folder}, {product}, {stem}"


@given(st.text() | st.text("{}a!:[]. ", max_size=12))
def test_any_text_is_filled_or_refused(text: str) -> None:
    refused = ""
    try:
        filled = fill(text, {})
    except PlaceholderError as refusal:
        refused = refusal.found
    except UnknownPlaceholderError as refusal:
        refused = refusal.unknown
    assert refused.isascii()
    assert refused or filled == text.replace("{{", "{").replace("}}", "}")
