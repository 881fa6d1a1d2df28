"""`python -m runtime.probe URL`: exit code 0 if that answers 200 within two seconds. For health checks."""

import http.client
import sys
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 2.0


def problem(url: str) -> str | None:
    """What is wrong with an http address: what it answered instead of 200, or why it did not; None if nothing is."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        return f"{url} is not an address such as http://127.0.0.1:9100/healthz"
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", parts.path or "/")
        answer = connection.getresponse()
        if answer.status == http.client.OK:
            return None
        return f"{url} answers {answer.status}: {answer.read(200).decode(errors='replace').strip()}"
    except (OSError, http.client.HTTPException) as error:
        return f"{url}: {error}"
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(problem(sys.argv[1]) if len(sys.argv) == 2 else __doc__)  # noqa: PLR2004 - the program and one argument
