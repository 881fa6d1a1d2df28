"""The Redis key map, written once.

What brokers accepted and no decoder has finished, dead letters and counts: `state.raw`, `state.dead_letters` and
`state.totals` have their keys.

Where the devices are, and which windows they were in:

    campus                           hash        the campus, once somebody has changed a zone: `version`, `geojson`.
                                                 From then on it holds, and not the file
    campus:changes                   stream      the newest 100 changes of zones: `zone`, `at` (ms), `by` (id of a key),
                                                 and the GeoJSON Feature of `before`, empty for a new zone
    device:{d}                       string      of the newest position, an array of MessagePack: event time (ms),
                                                 longitude, latitude (degrees), ids of its zones joined by commas.
                                                 Newest wins. Lives as long as presence does
    away:{x}                         sorted set  second hash of a device -> event time (ms) of its newest position
                                                 outside the campus, unless it is inside since: so an older one inside,
                                                 that comes late, does not bring it back. Sixteen, by the first digit of
                                                 the hash, which is in no other key, document or log. What is older than
                                                 PRESENCE_TTL is removed
    presence:{zone}:{kind}           sorted set  device -> event time (ms) of its newest position there. Present now are
                                                 those younger than PRESENCE_TTL, and not more than five minutes ahead
    window:{width}:{start}:{zone}:{kind}  set    distinct devices of one window; `start` in ms. Lives for the window's
                                                 width and 48 hours after its last change
    windows:dirty    sorted set  `{width}:{start}:{zone}:{kind}` -> when its roll-up is due (ms). Who rolls it up moves
                                 that into the future first, so that nobody else does; a change meanwhile moves it on by
                                 1 ms, so that it shows

And beside them:

"""

CAMPUS = "campus"
CAMPUS_CHANGES = "campus:changes"
DIRTY_WINDOWS = "windows:dirty"


def device(hashed: str) -> str:
    """The newest position of one device, by its hashed id."""
    return f"device:{hashed}"


AWAY = [f"away:{digit}" for digit in "0123456789abcdef"]


def away(hashed: str) -> str:
    """Who was outside the campus, and when: the sorted set for a second hash."""
    return f"away:{hashed[0]}"


def presence(zone: str, kind: str) -> str:
    """The devices of one kind that are present in a zone."""
    return f"presence:{zone}:{kind}"


def window(member: str) -> str:
    """The set behind one window; `member` is its name in `windows:dirty`."""
    return f"window:{member}"
