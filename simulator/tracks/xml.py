"""XML as recorders write it: elements one after the other, by their names without a prefix."""

import contextlib
from collections.abc import Callable
from typing import Protocol
from xml.parsers import expat

from simulator.fix import BadTrackError
from simulator.tracks.texts import xml_text_of

MAX_DEPTH = 100
MAX_TEXT = 1_000
"""Characters of an element whose text is used: a number, a time, three numbers."""
_PIECE = 1 << 20
_SHORT_PIECE = 1 << 10
_CUT_OFF = {
    expat.errors.codes[expat.errors.XML_ERROR_NO_ELEMENTS],
    expat.errors.codes[expat.errors.XML_ERROR_UNCLOSED_TOKEN],
    expat.errors.codes[expat.errors.XML_ERROR_PARTIAL_CHAR],
    expat.errors.codes[expat.errors.XML_ERROR_UNCLOSED_CDATA_SECTION],
}


class Visitor(Protocol):
    """What is told of each element. Names are as in the file, without a prefix."""

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""

    def end(self, name: str, text: str) -> None:
        """It ends; `text` is what stands in it after the last element within, without white space around."""


def walk(data: bytes, visitor: Visitor) -> None:
    """Tell `visitor` of all elements. Raises BadTrackError for what is no XML, is cut off, or has a DOCTYPE.

    Namespaces are not resolved, for many files use a prefix that they never declare.
    """
    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    path: list[str] = []
    text: list[str] = []
    room = MAX_TEXT

    def begin(name: str, attributes: dict[str, str]) -> None:
        nonlocal room
        if len(path) == MAX_DEPTH:
            raise BadTrackError(f"line {parser.CurrentLineNumber}: more than {MAX_DEPTH} elements in one another")
        path.append(_local(name))
        text.clear()
        room = MAX_TEXT
        visitor.begin(path[-1], attributes)

    def end(_name: str) -> None:
        visitor.end(path.pop(), "".join(text).strip())
        text.clear()

    def characters(piece: str) -> None:
        nonlocal room
        if room > 0:
            text.append(piece[:room])
            room -= len(piece)

    def doctype(*_: object) -> None:
        raise BadTrackError("it has a DOCTYPE, which no track has use for: remove it")

    parser.StartElementHandler = begin
    parser.EndElementHandler = end
    parser.CharacterDataHandler = characters
    parser.StartDoctypeDeclHandler = doctype
    _feed(parser.Parse, xml_text_of(data))


def root_of(head: bytes) -> str:
    """The name of the outermost element, of a file of which `head` is the beginning; "" where none can be found."""
    parser = expat.ParserCreate("utf-8")
    names: list[str] = []

    def begin(name: str, _attributes: dict[str, str]) -> None:
        names.append(name)
        parser.StartElementHandler = None

    parser.StartElementHandler = begin
    text = xml_text_of(head)
    with contextlib.suppress(expat.ExpatError):
        for start in range(0, len(text), _SHORT_PIECE):
            parser.Parse(text[start : start + _SHORT_PIECE], False)  # noqa: FBT003 - by position alone
            if names:
                break
    return _local(names[0]) if names else ""


def _feed(parse: Callable[[str, bool], object], content: str) -> None:
    try:
        # In pieces, since expat goes on to the end of what it was given when a handler has raised.
        for start in range(0, len(content), _PIECE):
            parse(content[start : start + _PIECE], False)  # noqa: FBT003 - expat takes it by position alone
        parse("", True)  # noqa: FBT003
    except expat.ExpatError as error:
        where = f"line {error.lineno}, column {error.offset + 1}"
        if error.code in _CUT_OFF:
            raise BadTrackError(f"it is cut off: {where} is its end. Export it again") from error
        raise BadTrackError(f"no XML that can be read: {expat.ErrorString(error.code)}: {where}") from error


def _local(name: str) -> str:
    return name.rpartition(":")[2]
