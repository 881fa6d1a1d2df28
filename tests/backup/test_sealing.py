"""The encrypted container: what was sealed comes back, and nothing else ever does."""

import asyncio
import gzip
import hashlib
import random
from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backup.sealing import DamagedError, Opener, seal, unseal

KEY = bytes(range(32))
SALT = b"\x07" * 32
PATH = "redis/20261130T201530Z-3f9a/main-0"
CHUNK = 65_536
SEALED_CHUNK = 65_552
HEADER = 40
NOISE = random.Random(17).randbytes(200_000)  # noqa: S311 - the same at every run
"""It cannot be compressed, so it has four chunks."""


async def _pieces(pieces: Sequence[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def sealed(*pieces: bytes, key: bytes = KEY, path: str = PATH) -> bytes:
    async def all_of_it() -> bytes:
        return b"".join([piece async for piece in seal(_pieces(pieces), key, path, salt=SALT)])

    return asyncio.run(all_of_it())


def opened(container: bytes, *, key: bytes = KEY, path: str = PATH, cut: int = 100_000) -> bytes:
    async def all_of_it() -> bytes:
        parts = [container[start : start + cut] for start in range(0, len(container), cut)]
        return b"".join([piece async for piece in unseal(_pieces(parts), key, path)])

    return asyncio.run(all_of_it())


@given(st.lists(st.binary(max_size=200)), st.integers(1, 400))
def test_what_was_sealed_comes_back_however_it_is_cut(pieces: list[bytes], cut: int) -> None:
    assert opened(sealed(*pieces), cut=cut) == b"".join(pieces)


@pytest.mark.parametrize("cut", [1000, CHUNK, SEALED_CHUNK, SEALED_CHUNK + HEADER, 10**6])
def test_several_chunks_come_back(cut: int) -> None:
    assert opened(sealed(NOISE[:70_000], b"", NOISE[70_000:]), cut=cut) == NOISE


def test_no_piece_of_what_comes_back_is_longer_than_a_chunk() -> None:
    container = sealed(b"\0" * 5_000_000)
    assert len(container) < 40_000
    opener = Opener(KEY, PATH)
    pieces = [*opener.feed(container), *opener.end()]
    assert sum(map(len, pieces)) == 5_000_000
    assert max(map(len, pieces)) <= CHUNK


def test_the_format_stays_as_it_is() -> None:
    """What was sealed by one version is opened by the next: gzip itself may change, so it is not compared."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - for this one test
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415

    key = HKDF(SHA256(), 32, SALT, b"campus backup\0" + PATH.encode()).derive(KEY)
    packed = gzip.compress(NOISE)
    container = b"CAMPBAK\x01" + SALT
    for number, start in enumerate(range(0, len(packed), 65_536)):
        last = start + 65_536 >= len(packed)
        nonce = number.to_bytes(11, "big") + (b"\x01" if last else b"\x00")
        container += AESGCM(key).encrypt(nonce, packed[start : start + 65_536], None)
    assert hashlib.sha256(opened(container)).digest() == hashlib.sha256(NOISE).digest()


def test_a_wrong_key_opens_nothing_and_the_sentence_names_the_setting() -> None:
    with pytest.raises(DamagedError, match="BACKUP_KEY is not that of this backup"):
        opened(sealed(b"secret"), key=b"\1" * 32)


def test_a_part_cannot_stand_in_for_another() -> None:
    with pytest.raises(DamagedError, match="the file was changed"):
        opened(sealed(b"secret"), path="redis/20261130T201530Z-3f9a/main-1")


@pytest.mark.parametrize(
    "length",
    [0, 7, 39, 40, 41, 55, HEADER + SEALED_CHUNK, HEADER + 2 * SEALED_CHUNK, HEADER + 2 * SEALED_CHUNK + 5, -1],
)
def test_what_is_cut_off_is_refused(length: int) -> None:
    with pytest.raises(DamagedError, match=r"cut off|changed"):
        opened(sealed(NOISE)[:length])


def test_chunks_cannot_be_exchanged_left_out_doubled_or_added() -> None:
    container = sealed(NOISE)
    head, body = container[:HEADER], container[HEADER:]
    first, second, rest = body[:SEALED_CHUNK], body[SEALED_CHUNK : 2 * SEALED_CHUNK], body[2 * SEALED_CHUNK :]
    for forged in (
        head + second + first + rest,
        head + first + rest,
        head + first + first + second + rest,
        container + b"\0",
        container + container,
        head + rest,
    ):
        with pytest.raises(DamagedError):
            opened(forged)


@given(st.data())
def test_no_byte_can_be_changed(data: st.DataObject) -> None:
    container = bytearray(sealed(b"the positions of a day"))
    place = data.draw(st.integers(0, len(container) - 1))
    container[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(DamagedError, match=r"^redis/20261130T201530Z-3f9a/main-0 "):
        opened(bytes(container))


@given(st.binary(max_size=300), st.booleans(), st.integers(1, 100))
def test_garbage_is_refused_with_a_sentence(garbage: bytes, whole_header: bool, cut: int) -> None:  # noqa: FBT001 - hypothesis gives it
    with pytest.raises(DamagedError):
        opened((b"CAMPBAK\x01" if whole_header else b"") + garbage, cut=cut)


def test_each_sealing_has_a_salt_of_its_own() -> None:
    async def twice() -> set[bytes]:
        return {b"".join([piece async for piece in seal(_pieces([b"same"]), KEY, PATH)]) for _ in range(2)}

    assert len(asyncio.run(twice())) == 2


def test_what_is_not_gzip_inside_is_refused() -> None:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - for these two tests
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415

    key = HKDF(SHA256(), 32, SALT, b"campus backup\0" + PATH.encode()).derive(KEY)

    def forged(packed: bytes) -> bytes:
        return b"CAMPBAK\x01" + SALT + AESGCM(key).encrypt(b"\0" * 11 + b"\1", packed, None)

    for packed in (b"", b"no gzip", gzip.compress(b"a")[:-3], gzip.compress(b"a") + b"more"):
        with pytest.raises(DamagedError, match="not sealed"):
            opened(forged(packed))
