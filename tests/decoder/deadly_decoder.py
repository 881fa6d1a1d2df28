"""`python -m decoder`, but the process dies on the spot of one payload: the environment variable DEADLY."""

import os
from typing import Any

from decoder.__main__ import app
from decoder.batch import BatchDecoder

_decode = BatchDecoder.decode


def _decode_or_die(self: BatchDecoder, messages: Any, *rest: Any, **named: Any) -> Any:  # noqa: ANN401 - as it is
    if any(message.payload == os.environ["DEADLY"].encode() for message in messages):
        os._exit(9)
    return _decode(self, messages, *rest, **named)


if __name__ == "__main__":
    BatchDecoder.decode = _decode_or_die  # type: ignore[method-assign]
    app()
