"""rumqttd, a broker in Rust."""

from collections.abc import Sequence

from bench.broker.connection import HOST
from bench.broker.peers.peer import Peer, Place, built, not_built, version_in

RUMQTTD = "rumqttd"
# The sizes are those of the rumqttd.toml that its crate brings; bridges, TLS, MQTT 5 and the console are left out.
_CONFIG = """\
id = 0
[router]
id = 0
max_connections = 10010
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10
[v4.1]
name = "v4-1"
listen = "{host}:{port}"
next_connection_delay_ms = 1
[v4.1.connections]
connection_timeout_ms = 60000
max_payload_size = 20480
max_inflight_count = 100
dynamic_filters = true
"""


def rumqttd() -> list[Peer]:
    """With the sizes of its own example; it keeps messages in memory alone."""
    executable = built("rumqttd")

    def command(place: Place) -> Sequence[str]:
        config = place.folder / f"rumqttd-{place.number}.toml"
        config.write_text(_CONFIG.format(host=HOST, port=place.port), encoding="utf-8")
        return [str(executable), str(config)]

    return [
        Peer(
            name=RUMQTTD,
            command=command,
            configuration="As a library, without TLS and WebSocket, with the sizes of the rumqttd.toml that its crate"
            " brings, of which one CONNECT a millisecond is the most it takes. Its log of messages is in memory: it"
            " keeps nothing.",
            version=version_in("rumqttd/Cargo.toml", r'rumqttd = { version = "=([^"]+)'),
            missing=not_built("rumqttd", executable),
            redis=None,
            shares=False,
        )
    ]
