"""The text of a file, in whatever encoding it is."""

import codecs
import re
from collections.abc import Iterator

from simulator.fix import BadTrackError

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins as UTF-16's does, and so comes before it
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_ZEROS: dict[tuple[bool, ...], str] = {
    (False, True, True, True): "utf-32-le",
    (True, True, True, False): "utf-32-be",
    (False, True, False, True): "utf-16-le",
    (True, False, True, False): "utf-16-be",
}
"""Which of the first four bytes are zero where the text begins with ASCII and has no mark."""
_DECLARED = re.compile(rb"\A\s*<\?xml[^>]*?\sencoding\s*=\s*[\"']([A-Za-z][\w.:-]*)[\"']")
_XML_ENCODINGS = re.compile(r"(utf-?8|ascii|iso8859|cp\d|koi8|mac|shift_?jis|euc|iso2022|gb|big5|hz|johab|tis|ptcp)")
"""Beginnings of Python's names for character sets; others are none, such as `punycode`."""

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


def text_of(data: bytes) -> str:
    """Text, decoded as its first bytes say; without a mark UTF-8, or else as Windows writes it in Western Europe.

    What cannot be decoded is U+FFFD: it is in names, if anywhere, which are not used.
    """
    if encoding := _by_first_bytes(data):
        return data.decode(encoding, errors="replace").removeprefix("\ufeff")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def lines_of(text: str) -> Iterator[str]:
    """The lines of a text with their ends, one after the other: all at once, short ones take forty times their size.

    Nothing but CR and LF ends a line: what else Unicode calls an end may stand in a name.
    """
    return (found[0] for found in _LINE.finditer(text))


def xml_text_of(data: bytes) -> str:
    """The same of XML, which may declare its encoding. Raises BadTrackError for one that nobody knows."""
    declared = _DECLARED.match(data)
    # A declaration that can be read as ASCII and says UTF-16 is wrong.
    if _by_first_bytes(data) or not declared or declared[1].lower().startswith((b"utf-16", b"utf-32")):
        return text_of(data).lstrip()
    name = declared[1].decode("ascii")
    try:
        encoding = codecs.lookup(name).name
    except LookupError:
        encoding = ""
    if not _XML_ENCODINGS.match(encoding):
        raise BadTrackError(f"it is XML in an encoding that is not known, {name[:40]}: save it in UTF-8")
    return data.decode(encoding, errors="replace").lstrip()


def _by_first_bytes(data: bytes) -> str | None:
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return encoding
    return _ZEROS.get(tuple(byte == 0 for byte in data[:4]))
