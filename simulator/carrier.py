"""What carries MQTT, as people choose it."""

from enum import StrEnum


class Carrier(StrEnum):
    """Over `ws` and `wss` the path is `/mqtt`."""

    TCP = "tcp"
    TLS = "tls"
    WS = "ws"
    WSS = "wss"

    @property
    def encrypted(self) -> bool:
        """Whether it is within TLS."""
        return self in {Carrier.TLS, Carrier.WSS}

    @property
    def websocket(self) -> bool:
        """Whether it is within WebSocket."""
        return self in {Carrier.WS, Carrier.WSS}
