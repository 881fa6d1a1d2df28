"""Where the system is, as people write it."""

from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

_MQTT_PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}
_HTTP_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """A server, and how to speak to it."""

    scheme: str
    host: str
    port: int
    path: str
    """Of a WebSocket its path; of an API what stands before `/v1`, empty in most cases."""

    @property
    def tls(self) -> bool:
        """Whether the server must prove who it is."""
        return self.scheme in {"mqtts", "wss", "https"}

    @property
    def websocket(self) -> bool:
        """Whether MQTT is spoken over WebSocket."""
        return self.scheme in {"ws", "wss"}

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"


def mqtt_address(text: str) -> Address:
    """The address of the broker, such as `mqtts://host`. Raises ValueError, which says what is wrong."""
    address = _address(text, _MQTT_PORTS)
    if not address.websocket and address.path:
        raise ValueError(f"{address.scheme}:// has no path")
    if address.websocket and not address.path:
        return Address(address.scheme, address.host, address.port, "/mqtt")
    return address


def api_address(text: str) -> Address:
    """The address of the API, such as `https://host`. Raises ValueError, which says what is wrong."""
    return _address(text, _HTTP_PORTS)


def _address(text: str, ports: dict[str, int]) -> Address:
    parts = urlsplit(text)
    if parts.scheme not in ports or not parts.hostname:
        raise ValueError(f"an address begins with {', '.join(f'{scheme}://' for scheme in ports)} and names a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("no user and no password belong into an address, for addresses are shown")
    if parts.query or parts.fragment:
        raise ValueError("an address ends with its path")
    return Address(parts.scheme, parts.hostname, _port(parts) or ports[parts.scheme], parts.path.rstrip("/"))


def _port(parts: SplitResult) -> int | None:
    try:
        port = parts.port
    except ValueError as error:
        raise ValueError("a port is a number from 1 to 65535") from error
    if port == 0:
        raise ValueError("a port is a number from 1 to 65535")
    return port
