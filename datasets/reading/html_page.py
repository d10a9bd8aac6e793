"""HTML, by lexbor: what a reader of the page reads, in order, with headings, lists and tables in Markdown's way."""

from __future__ import annotations

import re
from collections.abc import Iterator

from selectolax.lexbor import LexborHTMLParser, LexborNode

from . import plain
from .clean import clean, one_line, title_of
from .contract import JSON, Problem, ReadOptions, Source, Text, Unreadable
from .encoding import read_text
from .writer import Writer

_UNREAD = frozenset([
    "script", "style", "noscript", "template", "head", "title", "nav", "svg", "math", "iframe", "object", "embed", "canvas",
    "audio", "video", "map", "input", "select", "textarea", "button", "datalist", "dialog",
])  # fmt: skip
_UNREAD_ROLES = frozenset(["navigation", "banner", "contentinfo", "search", "menu", "menubar", "dialog", "alertdialog"])
_AROUND_MAIN = frozenset(["header", "footer", "aside"])
_INLINE = frozenset([
    "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em", "font", "i", "img", "ins",
    "kbd", "label", "mark", "q", "rp", "rt", "ruby", "s", "samp", "small", "span", "strike", "strong", "sub", "sup", "time",
    "tt", "u", "var", "wbr",
])  # fmt: skip
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_CHARSET = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([a-zA-Z0-9_:-]{2,40})""", re.IGNORECASE)
_MARKUP = re.compile(
    r"\s*<(?:!doctype|html|body|div|p|pre|span|h[1-6]|article|section|table|ul|ol|blockquote)\b[^<>]*>", re.IGNORECASE
)
MAX_NESTING = 2_000
NESTED = "The page nests its elements too deeply to be read: open it in a browser, print it to PDF and upload that."


def read(source: Source, options: ReadOptions) -> Iterator[Text | Problem]:
    raw, encoding = read_text(source.path, options.max_chars, _declared(source))
    yield from plain.damage(encoding)
    tree = LexborHTMLParser(clean(raw))
    writer = Writer(options.max_chars)
    write(tree, writer)
    title = tree.css_first("head title")
    first = next((heading.text for heading in writer.headings if heading.level == 1), "")
    yield writer.text(title_of(title.text() if title else "") or title_of(first) or source.title, _described(tree))


def is_markup(text: str) -> bool:
    """Whether the text of a row is HTML: it begins with a block or a span, and has an end tag."""
    return bool(_MARKUP.match(text)) and "</" in text


def write(tree: LexborHTMLParser, writer: Writer) -> None:
    """Adds the readable part of the page to the writer."""
    root = tree.css_first("main, [role=main]") or _only_article(tree) or tree.body
    if root is not None:
        _Page(writer).walk(root)
    if not writer.length and root is not tree.body and tree.body is not None:
        _Page(writer).walk(tree.body)


def _declared(source: Source) -> str:
    """The encoding that the page itself names, or ""."""
    with source.path.open("rb") as file:
        named = _CHARSET.search(file.read(4096))
    return named[1].decode("ascii").lower() if named else ""


def _only_article(tree: LexborHTMLParser) -> LexborNode | None:
    articles = tree.css("article")
    return articles[0] if len(articles) == 1 else None


def _described(tree: LexborHTMLParser) -> dict[str, JSON]:
    """Language, author and description, as far as the page has them."""
    found: dict[str, JSON] = {}
    if tree.root is not None and (language := tree.root.attributes.get("lang")):
        found["language"] = one_line(language)[:40]
    for name in ("author", "description"):
        node = tree.css_first(f"meta[name={name}]")
        if node is not None and (content := one_line(node.attributes.get("content") or "")):
            found[name] = content[:500]
    return found


class _Page:
    """One walk over a page. Text gathers in `_run` until a block begins or ends; nothing recurses, so depth is bounded."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._run: list[str] = []
        self._printed = 0  # how many <pre> we are in
        self._has_print = False
        self._lists: list[int | None] = []  # the number of the last item, None in a bulleted list
        self._marker = ""
        self._after_item = False

    def walk(self, root: LexborNode) -> None:
        node = root.first_child
        above: list[LexborNode] = []
        while node is not None:
            enters = self._enter(node)
            if enters and node.first_child is not None:
                above.append(node)
                node = node.first_child
                if len(above) > MAX_NESTING:
                    raise Unreadable(NESTED)
                continue
            if enters:
                self._leave(node)
            while node.next is None and above:
                node = above.pop()
                self._leave(node)
            node = node.next
        self._flush()

    def _enter(self, node: LexborNode) -> bool:
        """Takes a node in; whether its children are to be walked (and `_leave` to be called)."""
        tag = node.tag
        if tag == "-text":
            self._say(node.text_content or "")
            return False
        if not node.is_element_node or _is_unread(node):
            return False
        if tag in _HEADINGS or (tag == "table" and _is_data(node)):
            self._flush()
            self._whole(node)
            return False
        if tag == "br":
            self._run.append("\n")
        elif tag == "pre":
            self._open_print(node)
        elif tag not in _INLINE:
            self._open_block(node)
        return True

    def _leave(self, node: LexborNode) -> None:
        tag = node.tag
        if tag == "pre":
            self._printed -= 1
            if not _flows(node):
                self._flush()
        elif tag not in _INLINE and tag != "br":
            self._flush()
            if tag in ("ul", "ol") and self._lists:
                self._lists.pop()
                self._after_item = self._after_item and bool(self._lists)

    def _whole(self, node: LexborNode) -> None:
        if node.tag in _HEADINGS:
            self._writer.heading(_HEADINGS[node.tag], one_line(_seen_text(node)))
        else:
            self._writer.table(_cells(node))
        self._after_item = False

    def _open_print(self, node: LexborNode) -> None:
        if not _flows(node):
            self._flush()
        self._printed += 1
        self._has_print = True

    def _open_block(self, node: LexborNode) -> None:
        self._flush()
        if node.tag == "ul":
            self._lists.append(None)
        elif node.tag == "ol":
            start = node.attributes.get("start") or "1"
            self._lists.append(int(start) - 1 if start.isdecimal() and len(start) < 7 else 0)
        elif node.tag == "li":
            self._marker = self._next_marker()

    def _next_marker(self) -> str:
        indent = "  " * min(max(len(self._lists) - 1, 0), 8)
        if not self._lists or self._lists[-1] is None:
            return f"{indent}- "
        self._lists[-1] += 1
        return f"{indent}{self._lists[-1]}. "

    def _say(self, text: str) -> None:
        self._run.append(text if self._printed else re.sub(r"\s+", " ", text))

    def _flush(self) -> None:
        """Ends the block that has gathered."""
        text = "".join(self._run)
        self._run.clear()
        if not text.strip():
            return
        if self._has_print and not self._marker:
            plain.write(text, self._writer)
        else:
            lines = [" ".join(line.split()) for line in text.replace("\xad", "").split("\n")]
            between = "\n" if self._after_item and self._marker else "\n\n"
            self._writer.add(self._marker + "\n".join(line for line in lines if line), between)
        self._after_item = bool(self._marker)
        self._marker, self._has_print = "", self._printed > 0


def _is_unread(node: LexborNode) -> bool:
    tag = node.tag
    if tag in _UNREAD:
        return True
    attributes = node.attributes
    if "hidden" in attributes or (attributes.get("role") or "").lower() in _UNREAD_ROLES:
        return True
    if "display:none" in (attributes.get("style") or "").replace(" ", "").lower():
        return True
    of_page = tag in _AROUND_MAIN and node.parent is not None and node.parent.tag in ("body", "div", "main")
    return of_page and node.css_first("h1") is None


def _flows(node: LexborNode) -> bool:
    """Whether a <pre> goes on within a line, as pages do that wrap links into printed text."""
    attributes = node.attributes
    style = (attributes.get("style") or "").replace(" ", "")
    return "inline" in (attributes.get("class") or "").split() or "display:inline" in style


def _is_data(table: LexborNode) -> bool:
    """Whether a table shows data. One that only arranges the page (blocks or tables within) is read as running text."""
    return table.css_first("td table, th table, ul, ol, h1, h2, h3, pre, p + p") is None


def _cells(table: LexborNode) -> list[list[str]]:
    return [[one_line(_seen_text(cell)) for cell in row.iter() if cell.tag in ("td", "th")] for row in table.css("tr")]


def _seen_text(node: LexborNode) -> str:
    """All text below a heading or cell, with line breaks as spaces."""
    said = []
    for part in node.traverse(include_text=True):
        if part.tag == "-text" and not (part.parent is not None and part.parent.tag in _UNREAD):
            said.append(part.text_content or "")
        elif part.tag not in _INLINE:
            said.append(" ")
    return "".join(said)
