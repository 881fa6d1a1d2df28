"""`python -m broker`: one node of the broker cluster."""

import logging

import structlog
import typer

from broker.ingest import Ingest
from broker.metrics import BrokerMetrics
from broker.node import Node
from broker.settings import BrokerSettings
from core.clock import system_clock
from core.listening import listening_socket
from core.ops import serve_ops
from core.redis import open_redis
from core.runtime import Stop, run, work_until_stopped
from core.settings import load_or_exit

app = typer.Typer(add_completion=False, help=__doc__)
_log = structlog.stdlib.get_logger("broker")


async def serve(settings: BrokerSettings, stop: Stop) -> None:
    """Run a node until `stop`: listen, append, and at the end close what is open."""
    # A line for every connection says nothing that the metrics do not.
    logging.getLogger("amqtt").setLevel(logging.WARNING)
    logging.getLogger("transitions").setLevel(logging.WARNING)
    metrics = BrokerMetrics()
    listener = listening_socket(
        settings.broker_host,
        settings.broker_port,
        setting="BROKER_HOST, BROKER_PORT",
        reuse_port=settings.broker_reuse_port,
    )
    async with open_redis(settings) as client:
        ingest = Ingest(client=client, partitions=settings.partitions, max_length=settings.raw_max_length)
        node = Node(
            settings=settings,
            listener=listener,
            ingest=ingest,
            metrics=metrics,
            clock=system_clock,
        )

        async def listen(stop: Stop) -> None:
            await node.start()
            _log.info("listening", node=settings.broker_node, host=settings.broker_host, port=settings.broker_port)
            try:
                await stop.wait()
            finally:
                await node.shutdown()

        async with serve_ops(settings, ready=lambda: ingest.problem, registry=metrics.registry):
            if not settings.mqtt_allow_anonymous:
                _log.warning("nobody can log in: there are no users, and MQTT_ALLOW_ANONYMOUS is not set")
            await work_until_stopped({"ingest": ingest.run, "listen": listen}, stop)
    _log.info("stopped", node=settings.broker_node)


@app.command()
def main() -> None:
    """Serve MQTT until SIGTERM. Settings come from the environment: BROKER_PORT, REDIS_URL, ..."""
    settings = load_or_exit(BrokerSettings)
    run(lambda stop: serve(settings, stop), settings)


if __name__ == "__main__":
    app()
