"""The encrypted container that each object of a backup is: compressed, then sealed in chunks with AES-256-GCM.

    magic    8 bytes, `CAMPBAK` and the byte 1
    salt     32 random bytes
    chunks   65,536 bytes of the compressed text each, and 16 more that prove them; the last one has fewer, or as many

The key of an object is made of BACKUP_KEY, its salt and its path (HKDF-SHA256, RFC 5869), so that no object can stand
in for another. The nonce of a chunk is its number, eleven bytes, and a byte that is 1 for the last chunk alone: chunks
cannot be left out, doubled, exchanged or cut off unnoticed (the STREAM construction of Hoang, Reyhanitabar, Rogaway and
Vizár, 2015). The compressed text is gzip (RFC 1952). Nothing is given on before it is proved.
"""

import secrets
import zlib
from collections.abc import AsyncIterator, Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MAGIC = b"CAMPBAK\x01"
SALT_BYTES = 32
KEY_BYTES = 32
CHUNK_BYTES = 65_536
TAG_BYTES = 16
LEVEL = 1
"""Of gzip: whoever is copied must not wait for it."""
_GZIP = 31  # zlib's number for it
_SEALED_BYTES = CHUNK_BYTES + TAG_BYTES
_HEADER_BYTES = len(MAGIC) + SALT_BYTES


class DamagedError(Exception):
    """What was read is not what was sealed, or BACKUP_KEY is another; the message is a sentence."""


def _cipher(key: bytes, salt: bytes, path: str) -> AESGCM:
    derived = HKDF(SHA256(), KEY_BYTES, salt, b"campus backup\0" + path.encode()).derive(key)
    return AESGCM(derived)


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


async def seal(
    plain: AsyncIterator[bytes], key: bytes, path: str, *, salt: bytes | None = None
) -> AsyncIterator[bytes]:
    """The container of a text, piece by piece; some 200 kB of it in memory. `salt` is for tests alone."""
    salt = secrets.token_bytes(SALT_BYTES) if salt is None else salt
    cipher = _cipher(key, salt, path)
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, _GZIP)
    yield MAGIC + salt
    buffer = bytearray()
    number = 0
    async for piece in plain:
        buffer += packer.compress(piece)
        # One byte more than a chunk: only then it is known not to be the last.
        while len(buffer) > CHUNK_BYTES:
            yield cipher.encrypt(_nonce(number, last=False), bytes(buffer[:CHUNK_BYTES]), None)
            del buffer[:CHUNK_BYTES]
            number += 1
    buffer += packer.flush()
    while True:
        last = len(buffer) <= CHUNK_BYTES
        yield cipher.encrypt(_nonce(number, last=last), bytes(buffer[:CHUNK_BYTES]), None)
        if last:
            return
        del buffer[:CHUNK_BYTES]
        number += 1


class Opener:
    """Reads a container that is fed to it; memory stays bounded, whatever comes."""

    def __init__(self, key: bytes, path: str) -> None:
        """`path` is that under which it was sealed."""
        self._key = key
        self._path = path
        self._buffer = bytearray()
        self._cipher: AESGCM | None = None
        self._number = 0
        self._unpacker = zlib.decompressobj(_GZIP)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The text that is proved by now, in pieces of `CHUNK_BYTES` at the most. Raises DamagedError."""
        self._buffer += data
        if self._cipher is None:
            if len(self._buffer) < _HEADER_BYTES:
                return
            self._begin()
        while len(self._buffer) > _SEALED_BYTES:
            yield from self._chunk(_SEALED_BYTES, last=False)

    def end(self) -> Iterator[bytes]:
        """The rest of the text. Raises DamagedError, also where the end is missing."""
        if self._cipher is None:
            raise DamagedError(f"{self._path} is cut off, or is no part of a backup")
        yield from self._chunk(len(self._buffer), last=True)
        if not self._unpacker.eof or self._unpacker.unused_data:
            raise DamagedError(f"{self._path} was not sealed whole")

    def _begin(self) -> None:
        if not self._buffer.startswith(MAGIC):
            raise DamagedError(f"{self._path} is no part of a backup, or of another version")
        self._cipher = _cipher(self._key, bytes(self._buffer[len(MAGIC) : _HEADER_BYTES]), self._path)
        del self._buffer[:_HEADER_BYTES]

    def _chunk(self, length: int, *, last: bool) -> Iterator[bytes]:
        sealed = bytes(self._buffer[:length])
        del self._buffer[:length]
        try:
            packed = self._cipher.decrypt(_nonce(self._number, last=last), sealed, None)  # type: ignore[union-attr]
        except InvalidTag as error:
            if self._number:
                words = f"{self._path} is damaged or cut off after {self._number * CHUNK_BYTES:,} bytes"
            else:
                words = f"{self._path} cannot be opened: BACKUP_KEY is not that of this backup, or the file was changed"
            raise DamagedError(words) from error
        self._number += 1
        yield from self._unpacked(packed)

    def _unpacked(self, packed: bytes) -> Iterator[bytes]:
        try:
            while packed:
                if text := self._unpacker.decompress(packed, CHUNK_BYTES):
                    yield text
                if self._unpacker.eof:
                    return
                packed = self._unpacker.unconsumed_tail
        except zlib.error as error:
            raise DamagedError(f"{self._path} was not sealed by this program") from error


async def unseal(sealed: AsyncIterator[bytes], key: bytes, path: str) -> AsyncIterator[bytes]:
    """The text of a container, piece by piece. Raises DamagedError, before the end of the text if not earlier."""
    opener = Opener(key, path)
    async for data in sealed:
        for text in opener.feed(data):
            yield text
    for text in opener.end():
        yield text
