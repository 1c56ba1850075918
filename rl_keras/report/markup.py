"""Writes HTML: texts are escaped, unless they are `Markup`, which is HTML already."""

import html
from collections.abc import Iterable, Sequence


class Markup(str):
    """HTML: text that is not escaped again."""


def tag(name: str, /, *content: str, **attributes: str) -> Markup:
    """Returns an element.

    Args:
        name: such as `"p"`.
        content: texts, which are escaped, and `Markup`, which is not.
        attributes: escaped; a trailing underscore is dropped, as in `class_`.

    Example:
        >>> tag("p", "a < b", tag("br"), class_="note")
        '<p class="note">a &lt; b<br></p>'
    """
    text = "".join(f' {key.rstrip("_")}="{html.escape(v)}"' for key, v in attributes.items())
    if name in ("br", "img", "meta", "wbr"):
        return Markup(f"<{name}{text}>")
    return Markup(f"<{name}{text}>{join(content)}</{name}>")


def join(content: Iterable[str], between: str = "") -> Markup:
    """Returns texts and `Markup` one after the other, texts escaped."""
    parts = (part if isinstance(part, Markup) else html.escape(part) for part in content)
    return Markup(between.join(parts))


def table(header: Sequence[str], rows: Iterable[Sequence[str]], names: int = 1) -> Markup:
    """Returns a table in a box that scrolls by itself where the page is narrow.

    Args:
        header: of the columns.
        rows: cells, text or `Markup`.
        names: how many columns are names; the others are numbers, set to the right.
    """
    columns = range(len(header))
    looks = [{} if column < names else {"class_": "number"} for column in columns]
    head = [tag("th", cell, scope="col", **look) for cell, look in zip(header, looks, strict=True)]
    body = [
        tag("tr", *(tag("td", cell, **look) for cell, look in zip(row, looks, strict=True)))
        for row in rows
    ]
    inner = tag("table", tag("thead", tag("tr", *head)), tag("tbody", join(body, "\n")))
    return scrolling(inner)


def scrolling(content: Markup) -> Markup:
    """Returns a box that scrolls sideways by itself, by keyboard too."""
    return tag("div", content, class_="box", tabindex="0")
