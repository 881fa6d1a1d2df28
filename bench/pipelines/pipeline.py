"""What a pipeline is to the benchmark: parts, and how to see what it has stored."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench.pipelines.parts import Part
from tests.couchdb.double import PASSWORD, USER, CouchDouble

REQUEST_SECONDS = 30.0
CONSUMER = "consumer"
"""The role of the part that decodes: the one that is killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a pipeline runs."""

    folder: Path
    couchdb: CouchDouble
    """The store, running."""


class Pipeline(ABC):
    """One way from MQTT to documents. `parts` are started in their order, and killed in the opposite one."""

    name: str
    configuration: str
    """How it is set up, and what its documents are, in a sentence or two."""
    topic = "mobile-iotp"
    has_store_apart = True
    """Whether its store is a process of its own, which can be away while the rest lives."""

    def missing(self) -> str | None:
        """Why it cannot run here."""
        return None

    def versions(self) -> dict[str, str]:
        """Of what it is made of, by name."""
        return {}

    def stop_store(self, place: Place) -> None:
        """Let the store answer nobody, as a machine that swaps; `start_store` lets it go on."""
        place.couchdb.pause()

    def start_store(self, place: Place) -> None:
        """The end of `stop_store`."""
        place.couchdb.go_on()

    def close(self) -> None:  # noqa: B027 - most have opened nothing
        """Let go of what `stored` has opened."""

    @abstractmethod
    def parts(self, place: Place) -> Sequence[Part]:
        """Its processes; a store that only stores is not among them."""

    @property
    @abstractmethod
    def port(self) -> int:
        """For MQTT, once `parts` were made."""

    async def stored(self, client: httpx.AsyncClient, place: Place) -> int:
        """How many documents are in the store; one for each position, however often it was written."""
        return await documents(client, place.couchdb)


async def documents(client: httpx.AsyncClient, couchdb: CouchDouble) -> int:
    """The documents of all databases of a CouchDB, those of designs among them."""
    auth = (USER, PASSWORD)
    names = await client.get(f"{couchdb.url}/_all_dbs", auth=auth)
    names.raise_for_status()
    count = 0
    for name in names.json():
        if not name.startswith("_"):
            answer = await client.get(f"{couchdb.url}/{name}", auth=auth)
            answer.raise_for_status()
            count += int(answer.json()["doc_count"])
    return count
