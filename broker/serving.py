"""One node of the broker cluster, as a process: from its settings to its end."""

import asyncio
import logging
import signal
import time
from contextlib import AsyncExitStack

import structlog

from broker.auth.passwords import Passwords
from broker.auth.users import Authenticator, Users
from broker.drain import Drain
from broker.metrics import BrokerMetrics
from broker.node import Node
from broker.node_metrics import describe
from broker.settings import BrokerSettings
from broker.transport.listeners import listening
from core.clock import system_clock
from core.errors import UnavailableError
from runtime.ops import serve_ops
from runtime.retry import until_available
from runtime.service import Stop, run, work_until_stopped
from runtime.settings import load_or_exit
from state.client import Redis, open_redis
from state.durability import check_durability
from state.layout import agree_on_layout
from state.raw_redis import all_redis
from state.sealing import open_sealing
from state.server import check_redis

_log = structlog.stdlib.get_logger("broker")


async def serve(settings: BrokerSettings, stop: Stop) -> None:
    """Run a node until `stop`: listen, append, and at the end close what is open."""
    # A line for every connection says nothing that the metrics do not.
    logging.getLogger("amqtt").setLevel(logging.WARNING)
    logging.getLogger("transitions").setLevel(logging.WARNING)
    kinds = settings.kinds()
    metrics = BrokerMetrics(kinds)
    async with AsyncExitStack() as resources:
        client = await resources.enter_async_context(open_redis(settings, "broker"))
        is_open = settings.policy.is_open
        await resources.enter_async_context(open_sealing(settings, client, "broker", is_open=is_open))
        authenticator = Authenticator(
            users=Users(client),
            kinds=kinds,
            allow_anonymous=settings.mqtt_allow_anonymous,
            clock=time.monotonic,
            passwords=Passwords(clock=time.monotonic, max_waiting=settings.mqtt_logins_waiting),
        )
        resources.callback(authenticator.close)
        node = Node(
            settings=settings,
            kinds=kinds,
            client=client,
            authenticator=authenticator,
            metrics=metrics,
            clock=system_clock,
        )
        describe(node)
        drain = Drain(node=node, notice=settings.drain_notice, seconds=settings.drain_seconds)
        drain.describe()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, drain.begin)
        if settings.drain_on_term:
            loop.add_signal_handler(signal.SIGTERM, drain.told_to_end, stop)

        waits_for: str | None = None

        async def check() -> None:
            nonlocal waits_for
            try:
                await _check(client, settings)
            except UnavailableError as error:
                if waits_for != str(error):
                    _log.warning("not listening yet", reason=str(error))
                waits_for = str(error)
                raise
            waits_for = None

        async def serve_node(stop: Stop) -> None:
            checking = asyncio.ensure_future(until_available(check))
            asking = asyncio.ensure_future(stop.wait())
            await asyncio.wait((checking, asking), return_when=asyncio.FIRST_COMPLETED)
            asking.cancel()
            if not checking.done():
                checking.cancel()
                return
            checking.result()
            async with listening(settings, node.new_connection) as close_listeners:
                _log.info("listening", name=settings.broker_node, host=settings.broker_host, port=settings.broker_port)
                await work_until_stopped(
                    {"drain": lambda stop: drain.run(stop, close_listeners), "connections": node.run},
                    stop,
                    node.failures,
                )

        async with serve_ops(
            settings,
            service="broker",
            ready=lambda: waits_for or drain.problem or node.problem or node.failures.problem,
            registry=metrics.registry,
            remark=lambda: node.failures.remark,
        ):
            await work_until_stopped({"node": serve_node}, stop, node.failures)
    _log.info("stopped", name=settings.broker_node)


async def _check(client: Redis, settings: BrokerSettings) -> None:
    """Raises BadSettingsError for a Redis that cannot keep what it is given, UnavailableError if it cannot yet."""
    await check_redis(client)
    await agree_on_layout(client, settings.partitions)
    for each in all_redis(client):
        await check_durability(each, settings.durability, replicas=settings.replicas)


def main() -> None:
    """Serve MQTT until SIGTERM; after SIGUSR1, or where DRAIN_ON_TERM says so, drain first.

    Settings come from the environment: BROKER_PORT, ...
    """
    settings = load_or_exit(BrokerSettings)
    run(lambda stop: serve(settings, stop), settings, name="broker", node=settings.broker_node)
