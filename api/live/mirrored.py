"""What the topics of the mirror are to hold, and what of that is new: in proportion to what has changed."""

from collections.abc import Mapping

from api.analytics import Newest
from api.occupancy import Snapshot
from api.zones import CampusView

ZONES = "v1/zones"
OCCUPANCY = "v1/occupancy"
FLOWS = "v1/flows"
RESULTS = frozenset({"forecast", "visits", "anomaly"})
RESULT_TOPIC = ("v1", "zones", "ZONE", "RESULT")


def zone_topic(zone: str) -> str:
    """Where the body of GET /v1/zones/{zone} is."""
    return f"v1/zones/{zone}"


def occupancy_topic(zone: str) -> str:
    """Where the body of GET /v1/zones/{zone}/occupancy is."""
    return f"v1/zones/{zone}/occupancy"


def result_of(topic: str) -> tuple[str | None, str] | None:
    """Of which zone a topic has what was computed, and what; the zone is None where it is of all. None: it has none."""
    if topic == FLOWS:
        return None, FLOWS
    parts = tuple(topic.split("/"))
    if len(parts) == len(RESULT_TOPIC) and parts[:2] == RESULT_TOPIC[:2] and parts[3] in RESULTS:
        return parts[2], parts[3]
    return None


def results_of(view: CampusView, newest: Newest) -> Mapping[str, bytes]:
    """What was computed, by topic, of the zones that this campus has."""
    found = {}
    for topic, body in newest.bodies.items():
        result = result_of(topic)
        if result and (result[0] is None or result[0] in view.places):
            found[topic] = body
    return found


class Mirrored:
    """What one connection has published. It begins with nothing, for nobody knows what the broker still has."""

    def __init__(self, most: int) -> None:
        """`most` is how many bytes the broker takes as one message."""
        self._most = most
        self._view: CampusView | None = None
        self._snapshot: Snapshot | None = None
        self.newest: Newest | None = None
        """What was computed, as far as the broker has it."""
        self._results: Mapping[str, bytes] = {}
        self._taken: tuple[Newest, Mapping[str, bytes]] = (Newest(), {})
        self._resources: frozenset[str] = frozenset()
        self.topics: frozenset[str] = frozenset()
        """Those that are to hold something; the same object while they are the same."""
        self.too_large: frozenset[str] = frozenset()
        """Those that hold nothing, for the broker would not take it."""

    def changes(self, view: CampusView, snapshot: Snapshot, newest: Newest | None = None) -> dict[str, bytes]:
        """What is to be published, by topic: what GET answers of this campus, of this snapshot of it, and of results.

        `newest` are those of them that were computed; the same as before, unless given.
        """
        bodies: dict[str, bytes] = {}
        newest = newest or self.newest or Newest()
        results = self._results
        if view is not self._view or newest is not self.newest:
            results = results_of(view, newest)
            bodies |= {topic: body for topic, body in results.items() if self._results.get(topic) != body}
            zones = (*map(zone_topic, view.ids), *map(occupancy_topic, view.ids))
            self._resources = frozenset((ZONES, OCCUPANCY, *zones, *results))
        self._taken = newest, results
        if view is not self._view:
            before = self._view.features if self._view else {}
            bodies |= {zone_topic(zone): body for zone, body in view.features.items() if before.get(zone) != body}
            if self._view is None or self._view.collection != view.collection:
                bodies[ZONES] = view.collection
        changed = [*snapshot.zones] if self._snapshot is None else snapshot.changed_since(self._snapshot)
        bodies |= {occupancy_topic(zone): snapshot.zone(zone) or b"" for zone in changed}
        too_large = {topic for topic, body in bodies.items() if len(body) > self._most}
        if changed or self._snapshot is None or self._snapshot.zones.keys() != snapshot.zones.keys():
            # Written only where it is sent: it is as long as the campus has zones.
            if snapshot.everything_bytes > self._most:
                too_large.add(OCCUPANCY)
            else:
                bodies[OCCUPANCY] = snapshot.everything
        self._note_too_large((self.too_large - bodies.keys() | too_large) & self._resources)
        return {topic: body for topic, body in bodies.items() if topic not in too_large}

    def shortage(self, *, retained_max: int, retained_max_bytes: int) -> str | None:
        """What of the broker's limits is too small for all this, as a sentence; None where all of it fits."""
        view, snapshot = self._view, self._snapshot
        if view is None or snapshot is None:
            return None
        bodies = {zone_topic(zone): len(body) for zone, body in view.features.items()}
        bodies |= {occupancy_topic(zone): len(snapshot.zone(zone) or b"") for zone in snapshot.zones}
        bodies |= {topic: len(body) for topic, body in self._results.items()}
        bodies |= {ZONES: len(view.collection), OCCUPANCY: snapshot.everything_bytes}
        needed = sum(len(topic) + size for topic, size in bodies.items() if topic in self.topics)
        said = [
            f"{number:,} {what}, and {setting} is {most:,}"
            for number, what, setting, most in (
                (len(self.topics), "retained messages", "RETAINED_MAX", retained_max),
                (needed, "bytes of retained messages", "RETAINED_MAX_BYTES", retained_max_bytes),
            )
            if number > most
        ]
        return f"the mirror needs {'; and '.join(said)}: topics that find no room hold nothing" if said else None

    def published(self, view: CampusView, snapshot: Snapshot) -> None:
        """The broker has all of these changes."""
        self._view, self._snapshot = view, snapshot
        self.newest, self._results = self._taken

    def _note_too_large(self, too_large: frozenset[str]) -> None:
        self.too_large = too_large
        topics = self._resources - too_large
        if topics != self.topics:
            self.topics = topics
