"""The Redis key map, written once.

What a broker accepted and no decoder has finished:

    raw:{p}          stream   one entry a message (`core.messages.RawMessage`); consumer group `observe`
    positions:{p}    stream   several positions to an entry: `d` (`core.messages.encode_positions`), and in `i` which of
                              them are implausible; group `archive`
    dead             stream   dead letters (`core.messages.DeadLetter`), the newest `DEAD_LETTERS_MAX` of them, for
                              DEAD_LETTERS_KEEP

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

The brokers, and the sessions that they share. {n} is one life of a node, `<BROKER_NODE>:<8 hex digits>`, {c} a client
id; connections are numbers that a node gives. Only the scripts of `broker/cluster` change any of it:

    nodes            hash     n -> heartbeats, one a second; `-` once others clear up after it
    node:{n}         hash     bytes that went into its inbox (`sent`) and out of it (`taken`); the number of the newest
                              `batch` that it has published, and the `answer` to that
    inbox:{n}        stream   what others have for n; ids are `<sent>-0`. One field an entry: `m` messages, `w` clients
                              with something new in their queues, `s` states that have changed, `k` client
                              and connection that another has taken over
    interest:{n}     set      the filters that n has in `routes`
    clients:{n}      hash     connection -> client, of n's connections
    will:{n}         hash     connection -> client and message. Whoever removes it publishes it, in one script: so once
    routes           hash     target, null character, filter -> flags. Of the target `n:{n}`: 1 for messages of any QoS,
                              2 for those of QoS 0, and 4 if for positions, too. Of the target `s:{c}`, which gets them
                              by its queue: QoS 1 or 2, and 4 likewise
    routes:log       stream   changes of `routes`, the newest 10,000 or so; ids are `<version>-<microseconds>`
    routes:version   string   the newest of these ids
    sessions         set      the clients of all persistent sessions
    owner:{o}        set      the clients of one owner's persistent sessions: of `u:` and a user's name, or `a:` and the
                              address of anonymous clients
    session:{c}      hash     `node` and `connection` while there is one, its `owner`, `clean`, and what it began with;
                              of a persistent session the `next` sequence number of its queue, the highest `sent`,
                              the highest sent `before` the connection, and one (`floor`) not above any unfinished one;
                              the `bytes` that it costs, and how far it has come in `states`
    subscriptions:{c}  hash   filter -> QoS, and 4 as above. Of persistent sessions only, like what follows
    queue:{c}        stream   messages of QoS 1 and 2 until the client has them: `b`, or QoS and topic of what is in
                              `retained`: `s` a state, `r` what was there when the client subscribed; and in `a` since
                              when (ms). Ids are `<sequence number>-0`; packet ids are made of these numbers
    brief:{c}        stream   the same of what was published to the ingest topics: it lives for minutes at the most, and
                              the erasure of a device reaches it
    brief            sorted set  clients with such a queue -> since when its oldest message may be there (ms)
    sessions:bytes   hash     owner, and `all` -> bytes of queues and subscriptions (state/lua/session_costs.lua)
    released:{c}     sorted set  sequence numbers of QoS 2 messages that the client has, and has not finished with
    received:{c}     set      packet ids of QoS 2 messages that came from the client, and that it has not released
    sessions:expiry  sorted set  clients of persistent sessions without a connection -> when they are deleted (ms)
    retained         hash     topic -> message
    states           sorted set  topics below `v1` whose retained message has changed -> 4 times the version of that
                              change, and its QoS. A session gets what is above its version
    states:version   integer  the newest version
    states:gone      sorted set  those that were cleared, the newest 1,000
    retained:anonymous  set   those of its topics whose message is of a client without a user
    retained:bytes   hash     bytes of these messages with their topics, of `all` and of `anonymous` ones

And beside them:

    coverage:{hour}:{kind}  string  a bit for each minute of an hour (its start in ms) in which devices of the kind were
                                 counted, or would have been. Lives for 48 hours after its last change
    coverage:dirty   set      `{hour}:{kind}` whose bits are yet to be written to the time-series store
    newest-input     sorted set  kind -> when its newest message came (ms), wherever it came from. Nodes note
                                 that once a second, the API with each message
    totals           hash     lifetime counts: messages, positions, outside, dead:{reason}. Written together with the
                              acknowledgement, so they are exact whatever dies; only a batch that two decoders had at
                              once, for it took longer than CLAIM_AFTER, can count twice in part
                              `replayed` and `dropped` are the dead letters that somebody has replayed or dropped,
                              `expired` those that were older than DEAD_LETTERS_KEEP
    users            hash     user -> JSON: name, role, password (an argon2id hash). Written by `python -m broker users`
    users:version    integer  goes up with each change of users: nodes look at it, and end connections of users that are
                              gone or have changed
    users:removed    set      users who were removed, and whose sessions somebody has yet to delete
    api-keys         hash     id of an API key -> JSON: id, name, scopes, hash (SHA-256), created_at. Written by
                              `python -m api keys`
    api-keys:used    hash     id of an API key -> when it was last used (ms), to the minute
    mirror           string   the API process that mirrors on MQTT; lives for seconds, and is renewed
    mirror:client    string   the MQTT client id of whoever mirrors. It is the same for all, so that the broker ends the
                              connection of one that comes back late, and random, so that nobody else ends it
    mirror:topics    set      topics that may be retained because the mirror has published them

`{p}` is the number of a partition in braces: a Redis Cluster hash tag, one slot a partition. Entries are acknowledged
after their effects, and cut off below the oldest entry that is still pending, never before.
"""

CAMPUS = "campus"
CAMPUS_CHANGES = "campus:changes"
COVERAGE_DIRTY = "coverage:dirty"
DEAD = "dead"
DIRTY_WINDOWS = "windows:dirty"
TOTALS = "totals"
DEAD_TOTAL = "dead:"
"""How the totals of dead letters begin; the reason follows."""
REPLAYED = "replayed"
DROPPED = "dropped"
EXPIRED = "expired"
API_KEYS = "api-keys"
API_KEYS_USED = "api-keys:used"
MIRROR = "mirror"
MIRROR_CLIENT = "mirror:client"
MIRROR_TOPICS = "mirror:topics"
USERS = "users"
USERS_VERSION = "users:version"
USERS_REMOVED = "users:removed"
OBSERVE_GROUP = "observe"
ARCHIVE_GROUP = "archive"


NEWEST_INPUT = "newest-input"
NODES = "nodes"
BRIEF = "brief"
NODES = "nodes"
RETAINED = "retained"
ROUTES = "routes"
ROUTES_LOG = "routes:log"
ROUTES_VERSION = "routes:version"


def raw(partition: int) -> str:
    """The stream of what brokers accepted, for one partition."""
    return f"raw:{{{partition}}}"


def positions(partition: int) -> str:
    """The stream of decoded positions on the campus, for one partition."""
    return f"positions:{{{partition}}}"


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


def coverage(hour: int, kind: str) -> str:
    """The minutes of one hour in which devices of a kind were counted; `hour` is its start in ms since the epoch."""
    return f"coverage:{hour}:{kind}"


def node(incarnation: str) -> str:
    """What went into a broker node's inbox and out of it, and its newest batch."""
    return f"node:{incarnation}"


def inbox(incarnation: str) -> str:
    """What other nodes have for a broker node."""
    return f"inbox:{incarnation}"


def will(incarnation: str) -> str:
    """The wills of a broker node's connections."""
    return f"will:{incarnation}"


def queue(client_id: str) -> str:
    """The messages of a persistent session that its client has not got yet."""
    return f"queue:{client_id}"


def brief(client_id: str) -> str:
    """The positions of a persistent session that its client has not got yet."""
    return f"brief:{client_id}"


def released(client_id: str) -> str:
    """The QoS 2 messages that the client of a persistent session has got, and has not finished with."""
    return f"released:{client_id}"


def received(client_id: str) -> str:
    """The packet ids of QoS 2 messages from the client of a persistent session that it has not released."""
    return f"received:{client_id}"
