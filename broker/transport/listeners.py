"""Where connections come in: TCP and WebSocket, behind a proxy that says who they are or not."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from broker.settings import BrokerSettings
from broker.transport.proxy_protocol import ProxyProtocol
from broker.transport.websocket import WebSocketProtocol
from runtime.listening import BACKLOG, listening_socket

Factory = Callable[[], asyncio.Protocol]


@asynccontextmanager
async def listening(settings: BrokerSettings, new_connection: Factory) -> AsyncIterator[Callable[[], None]]:
    """Listen on the node's ports, and answer what ends that before the context does; connections stay.

    Raises BadSettingsError where a port cannot be used.
    """
    loop = asyncio.get_running_loop()
    factories: dict[int, tuple[str, Factory]] = {
        settings.broker_port: ("BROKER_HOST, BROKER_PORT", new_connection),
    }
    if settings.broker_ws_port:
        websocket: Factory = partial(WebSocketProtocol, new_connection)
        factories[settings.broker_ws_port] = ("BROKER_HOST, BROKER_WS_PORT", websocket)
    servers: list[asyncio.Server] = []

    def close() -> None:
        for server in servers:
            server.close()

    try:
        for port, (setting, factory) in factories.items():
            listener = listening_socket(
                settings.broker_host, port, setting=setting, reuse_port=settings.broker_reuse_port
            )
            made = partial(ProxyProtocol, factory) if settings.broker_proxy_protocol else factory
            servers.append(await loop.create_server(made, sock=listener, backlog=BACKLOG))
        yield close
    finally:
        close()
