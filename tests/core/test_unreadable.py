"""Bytes that cannot be read raise one of several errors: whoever decodes knows them all."""

import ast
from pathlib import Path

import msgspec
import pytest

from core.unreadable import UNREADABLE
from tests.rooms import ROOMS

ROOT = Path(__file__).parents[2]
TELLS_THEM_APART = {"payloads", "tests"}
"""Whose letters say which of them it was."""


@pytest.mark.parametrize(
    "text", [b"", b"{", b'{"a": 1}', b'{"name": "\xff"}', b'{"x":' * 5000, b'{"x": ' + b"[" * 5000, b"[" * 5000]
)
def test_whatever_the_bytes_are_it_is_one_of_them(text: bytes) -> None:
    class Form(msgspec.Struct):
        name: str

    with pytest.raises(UNREADABLE):
        msgspec.json.decode(text, type=Form)


def test_nobody_names_an_error_of_decoding_alone() -> None:
    found = []
    for room in sorted({*ROOMS} - TELLS_THEM_APART):
        for path in sorted((ROOT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.ExceptHandler) or node.type is None:
                    continue
                caught = ast.unparse(node.type)
                if "msgspec." in caught and "ValidationError" not in caught:
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {caught}")
    assert not found
