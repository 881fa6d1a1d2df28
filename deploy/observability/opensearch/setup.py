"""What the store of logs must know: `python -m deploy.observability.opensearch.setup template|searches`.

`template` says what the fields of an index are, at LOG_STORE_URL. `searches` imports saved searches and a dashboard at
DASHBOARDS_URL. Both may be done again, and are at each start. The standard library alone.
"""

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from deploy.observability.opensearch.store import StoreAwayError, StoreError, send

_FOLDER = Path(__file__).parent
TEMPLATE = _FOLDER / "template.json"
SEARCHES = _FOLDER / "dashboards.ndjson"
TRIES, PAUSE_SECONDS = 100, 3.0
"""A store starts in a minute; its web interface, on a machine that is busy, in some."""
_BOUNDARY = "saved-objects-of-campus"


def put_template(url: str) -> Any:  # noqa: ANN401 - JSON
    """Say what the fields of logs are; the answer. It holds of the indices of days that begin after it."""
    return send(url, "PUT", "/_index_template/logs", TEMPLATE.read_bytes(), {})


def import_searches(url: str) -> Any:  # noqa: ANN401 - JSON
    """Put saved searches and the dashboard in the place of those of the same ids; the answer."""
    body = b"\r\n".join(
        [
            f"--{_BOUNDARY}".encode(),
            b'Content-Disposition: form-data; name="file"; filename="dashboards.ndjson"',
            b"Content-Type: application/ndjson",
            b"",
            SEARCHES.read_bytes(),
            f"--{_BOUNDARY}--".encode(),
            b"",
        ]
    )
    # Each of the two web interfaces asks for a header of its own against forged requests.
    headers = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}", "osd-xsrf": "true", "kbn-xsrf": "true"}
    answer = send(url, "POST", "/api/saved_objects/_import?overwrite=true", body, headers)
    if not answer.get("success"):
        raise StoreError(f"not all was imported: {answer.get('errors')}")
    return answer


_STEPS: Mapping[str, tuple[str, str, Callable[[str], Any]]] = {
    "template": ("LOG_STORE_URL", "http://opensearch:9200", put_template),
    "searches": ("DASHBOARDS_URL", "http://opensearch-dashboards:5601", import_searches),
}


def main(arguments: Sequence[str], *, sleep: Callable[[float], None] = time.sleep) -> int:
    """Do one of the two, and wait for what is not there yet; the exit code."""
    if len(arguments) != 1 or arguments[0] not in _STEPS:
        sys.stderr.write(__doc__ or "")
        return 2
    variable, default, step = _STEPS[arguments[0]]
    url = os.environ.get(variable) or default
    if not url.startswith(("http://", "https://")):
        sys.stderr.write(f"{variable} is no address of HTTP: {url!r}\n")
        return 2
    for tried in range(TRIES):
        try:
            step(url)
        except StoreAwayError as error:
            if not tried:
                sys.stderr.write(f"waiting: {error}\n")
            sleep(PAUSE_SECONDS)
        except StoreError as error:
            sys.stderr.write(f"{error}\n")
            return 1
        else:
            sys.stderr.write(f"{arguments[0]}: there\n")
            return 0
    sys.stderr.write(f"{url} did not answer\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
