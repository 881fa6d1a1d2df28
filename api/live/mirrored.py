"""What the topics of the mirror are to hold, and what of that is new: in proportion to what has changed."""

from api.occupancy import Snapshot
from api.zones import CampusView

ZONES = "v1/zones"
OCCUPANCY = "v1/occupancy"


def zone_topic(zone: str) -> str:
    """Where the body of GET /v1/zones/{zone} is."""
    return f"v1/zones/{zone}"


def occupancy_topic(zone: str) -> str:
    """Where the body of GET /v1/zones/{zone}/occupancy is."""
    return f"v1/zones/{zone}/occupancy"


class Mirrored:
    """What one connection has published. It begins with nothing, for nobody knows what the broker still has."""

    def __init__(self, most: int) -> None:
        """`most` is how many bytes the broker takes as one message."""
        self._most = most
        self._view: CampusView | None = None
        self._snapshot: Snapshot | None = None
        self._resources: frozenset[str] = frozenset()
        self.topics: frozenset[str] = frozenset()
        """Those that are to hold something; the same object while they are the same."""
        self.too_large: frozenset[str] = frozenset()
        """Those that hold nothing, for the broker would not take it."""

    def changes(self, view: CampusView, snapshot: Snapshot) -> dict[str, bytes]:
        """What is to be published, by topic: what GET answers of this campus, and of this snapshot of it."""
        bodies: dict[str, bytes] = {}
        if view is not self._view:
            before = self._view.features if self._view else {}
            bodies |= {zone_topic(zone): body for zone, body in view.features.items() if before.get(zone) != body}
            if self._view is None or self._view.collection != view.collection:
                bodies[ZONES] = view.collection
            self._resources = frozenset((ZONES, OCCUPANCY, *map(zone_topic, view.ids), *map(occupancy_topic, view.ids)))
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

    def _note_too_large(self, too_large: frozenset[str]) -> None:
        self.too_large = too_large
        topics = self._resources - too_large
        if topics != self.topics:
            self.topics = topics
