"""The project's Markdown as HTML: GitHub's anchors, links between pages, and only the tags of an allow list."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from html.parser import HTMLParser
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt
from markdown_it.token import Token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Resolve = Callable[[str], str | None]
    """Return where a relative link of the source leads on the served page; None if nowhere."""

_PICTURE = {"picture": (), "source": ("media", "srcset"), "img": ("src", "alt", "width", "height")}
"""The allowed tags, with their attributes: pictures in a light and a dark form."""
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)
_NOT_IN_ANCHORS = re.compile(r"[^\w\- ]")
_TABLE = '<div class="scroll" tabindex="0" role="group" aria-label="Table">\n'
"""Around a table, which may be wider than the screen: the keyboard can scroll it, too."""


@dataclass(frozen=True, slots=True)
class RenderedMarkdown:
    """One page."""

    title: str
    """The text of its first heading; empty without one."""
    html: str


def render(source: str, resolve: Resolve) -> RenderedMarkdown:
    """Render a page; links and pictures that lead nowhere become text."""
    parser = MarkdownIt("commonmark").enable("table")
    tokens = list(_framed(parser.parse(source)))
    title = _add_anchors(tokens)
    for token in tokens:
        _adapt(token, resolve)
        for child in token.children or ():
            _adapt(child, resolve)
        if token.children:
            _unlink(token.children)
    return RenderedMarkdown(title, parser.renderer.render(tokens, parser.options, {}))


def _framed(tokens: Sequence[Token]) -> Iterator[Token]:
    for token in tokens:
        if token.type == "table_open":
            yield Token("html_block", "", 0, content=_TABLE, hidden=True)
        yield token
        if token.type == "table_close":
            yield Token("html_block", "", 0, content="</div>\n", hidden=True)


def _add_anchors(tokens: Sequence[Token]) -> str:
    """Give each heading the id that GitHub gives it, and return the first one's text."""
    title, used = "", dict[str, int]()
    for place, token in enumerate(tokens):
        if token.type == "heading_open":
            children = tokens[place + 1].children or ()
            text = "".join(child.content for child in children if child.type in {"text", "code_inline"})
            title = title or text
            anchor = _NOT_IN_ANCHORS.sub("", text.lower()).replace(" ", "-")
            again = used.get(anchor, 0)
            used[anchor] = again + 1
            token.attrSet("id", f"{anchor}-{again}" if again else anchor)
    return title


def _adapt(token: Token, resolve: Resolve) -> None:
    match token.type:
        case "html_block" | "html_inline" if not token.hidden:
            token.content = _pictures_only(token.content, resolve)
        case "link_open":
            token.attrs["href"] = _resolved(str(token.attrGet("href")), resolve) or ""
        case "image":
            source = _resolved(str(token.attrGet("src")), resolve)
            if source is None:
                token.type, token.children = "text", None
            else:
                token.attrs["src"] = source
        case "th_open" | "td_open" if "style" in token.attrs:  # no style attribute passes the page's policy
            token.attrs["class"] = str(token.attrs.pop("style")).removeprefix("text-align:")
        case _:
            pass


def _unlink(children: Sequence[Token]) -> None:
    """Keep the text alone of links that lead nowhere. Links do not nest."""
    leads = True
    for child in children:
        if child.type == "link_open":
            leads = child.attrs["href"] != ""
        if child.type in {"link_open", "link_close"} and not leads:
            child.tag, child.attrs = "span", {}


def _resolved(link: str, resolve: Resolve) -> str | None:
    return link if _ADDRESS.match(link) or link.startswith("#") else resolve(link)


class _PicturesOnly(HTMLParser):
    """Copies the tags of pictures, drops comments, escapes everything else."""

    def __init__(self, resolve: Resolve) -> None:
        super().__init__(convert_charrefs=True)
        self._resolve = resolve
        self.copied: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _PICTURE:
            self.handle_data(self.get_starttag_text() or "")
            return
        kept = {name: value or "" for name, value in attrs if name in _PICTURE[tag]}
        for name in kept.keys() & {"src", "srcset"}:
            target = _resolved(kept[name], self._resolve)
            if target is None:  # no such picture here: its alternative text
                self.handle_data(kept.get("alt", ""))
                return
            kept[name] = target
        written = "".join(f' {name}="{escape(value)}"' for name, value in kept.items())
        self.copied.append(f"<{tag}{written}>")

    def handle_endtag(self, tag: str) -> None:
        if tag in _PICTURE:
            self.copied.append(f"</{tag}>")
        else:
            self.handle_data(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        self.copied.append(escape(data))

    def handle_decl(self, decl: str) -> None:
        self.handle_data(f"<!{decl}>")

    def handle_pi(self, data: str) -> None:
        self.handle_data(f"<?{data}>")


def _pictures_only(html: str, resolve: Resolve) -> str:
    parser = _PicturesOnly(resolve)
    parser.feed(html)
    parser.close()
    return "".join(parser.copied)
