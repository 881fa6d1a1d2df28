"""Settings of a broker node."""

import socket
from typing import Any

from pydantic import Field

from disclosure.policy import PrivacySettings
from runtime.position_rates import RateSettings
from runtime.settings import OpsSettings, Port, RetainedSettings, RoomSettings
from state.durability import DurabilitySettings
from state.sealing import SealingSettings


class BrokerSettings(
    SealingSettings, OpsSettings, RoomSettings, RateSettings, RetainedSettings, DurabilitySettings, PrivacySettings
):
    """One node of the cluster; every limit is for one connection unless it says otherwise."""

    broker_node: str = Field(
        default_factory=lambda: socket.gethostname().lower()[:64],
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
        description="Name of this node in logs and $SYS; unset: the host's.",
    )
    broker_host: str = Field(default="127.0.0.1", description="Address that it listens on.")
    broker_port: Port = Field(default=1883, description="Port that it listens on.")
    broker_ws_port: int = Field(
        default=0, ge=0, le=65_535, description="Port for MQTT over WebSocket (path /mqtt); 0: none."
    )
    broker_reuse_port: bool = Field(
        default=False, description="Share the port with other nodes of this machine (SO_REUSEPORT), without a proxy."
    )
    broker_proxy_protocol: bool = Field(
        default=False, description="Expect the PROXY protocol (v1 or v2) before each connection, as a proxy sends it."
    )
    broker_max_connections: int = Field(default=20_000, ge=1, description="Open connections of the node.")
    raw_max_length: int = Field(
        default=1_000_000, ge=1000, description="Messages that may wait for a decoder; at more, publishers wait."
    )
    qos0_buffer: int = Field(
        default=8 * 1024 * 1024,
        ge=0,
        description="Bytes of payload that may wait while Redis is away; beyond that, messages of QoS 0 are dropped.",
    )
    mqtt_allow_anonymous: bool = Field(default=False, description="Let clients in without a user.")
    mqtt_plugins: dict[str, dict[str, Any]] = Field(
        default={},
        description="amqtt plugins besides our own, as JSON: import path -> its configuration. They may refuse what "
        "ours allow, and cannot allow what ours refuse.",
    )
    mqtt_no_subscribe: str = Field(
        # What the well-known interoperability suites try to see a refusal.
        default="nosubscribe,test/nosubscribe",
        description="Topic filters, separated by commas, that nobody but services may subscribe to.",
    )
    mqtt_max_payload: int = Field(
        default=65_536,
        ge=1,
        le=1_048_576,
        description="Bytes of a payload; a larger position becomes a dead letter, any other message is dropped.",
    )
    mqtt_max_packet: int = Field(
        default=262_144, ge=1024, le=16_777_216, description="Bytes of a packet; a larger one ends the connection."
    )
    mqtt_max_connect: int = Field(
        default=12_288,
        ge=256,
        le=262_144,
        description="Bytes of a CONNECT, its will included; a larger one is refused (5). HAProxy checks no larger one.",
    )
    mqtt_connect_timeout: float = Field(default=10.0, gt=0, description="Seconds in which CONNECT must arrive.")
    mqtt_logins_waiting: int = Field(
        default=128,
        ge=2,
        le=10_000,
        description="Passwords of the node that may wait to be checked; shared out by address, in turns.",
    )
    client_connect_rate: int = Field(
        default=60,
        ge=1,
        description="Logins of one user with one client id in a minute; two devices that share an id end each other.",
    )
    broker_address_share: float = Field(
        default=0.75,
        gt=0,
        le=1,
        description="Share of BROKER_MAX_CONNECTIONS that one address (a /64 where it is IPv6) may have; 1: all.",
    )
    mqtt_packet_timeout: float = Field(
        default=60.0, gt=0, description="Seconds in which a packet must be complete, once it has begun."
    )
    mqtt_unfinished_bytes: int = Field(
        default=32 * 1024 * 1024,
        ge=262_144,
        description="Bytes of packets that are not complete, of the whole node; who holds most of them has to go.",
    )
    mqtt_write_timeout: float = Field(
        default=60.0,
        gt=0,
        description="Seconds in which a client must take something of what waits for it; or its keepalive, if shorter.",
    )
    mqtt_user_connections: int = Field(
        default=1000, ge=1, description="Open connections of one user on one node; anonymous clients are not counted."
    )
    mqtt_max_subscriptions: int = Field(default=100, ge=1, le=10_000, description="Topic filters of one client.")
    mqtt_user_filter_bytes: int = Field(
        default=1024 * 1024,
        ge=4096,
        description="Bytes of the topic filters of all clients of one user on one node; anonymous ones by address.",
    )
    mqtt_filter_bytes: int = Field(
        default=4 * 1024 * 1024, ge=65_536, description="Bytes of all topic filters of the node, each of them once."
    )
    mqtt_user_will_bytes: int = Field(
        default=1024 * 1024,
        ge=4096,
        description="Bytes of the wills of all clients of one user on one node; anonymous ones by address.",
    )
    mqtt_will_bytes: int = Field(default=8 * 1024 * 1024, ge=65_536, description="Bytes of all wills of the node.")
    mqtt_topic_bytes: int = Field(default=1024, ge=16, le=65_535, description="Bytes of a topic name or filter.")
    mqtt_topic_levels: int = Field(default=32, ge=2, le=1000, description="Levels of a topic name or filter.")
    mqtt_max_unacknowledged: int = Field(
        default=1000,
        ge=1,
        le=32_767,
        description="Messages of QoS 1 and 2 to a client not yet acknowledged, or of QoS 2 from it not yet released.",
    )
    mqtt_slow_consumer_bytes: int = Field(
        default=4 * 1024 * 1024,
        ge=65_536,
        description="Bytes that may wait for a client that reads too slowly; beyond that, its connection ends.",
    )
    session_expiry: int = Field(
        default=86_400, ge=1, description="Seconds that a persistent session is kept after its client has gone."
    )
    queue_max_length: int = Field(
        default=1000, ge=1, le=50_000, description="Messages that a persistent session may have waiting."
    )
    sessions_max: int = Field(default=5000, ge=1, description="Persistent sessions of the whole cluster.")
    sessions_user_max: int = Field(
        default=1000, ge=1, description="Persistent sessions of one user; anonymous clients are one user by address."
    )
    sessions_max_bytes: int = Field(
        default=16 * 1024 * 1024,
        ge=65_536,
        description="Bytes that wait for all persistent sessions, with their subscriptions.",
    )
    sessions_user_max_bytes: int = Field(
        default=4 * 1024 * 1024,
        ge=65_536,
        description="Bytes that wait for the persistent sessions of one user, with their subscriptions.",
    )
    queue_max_bytes: int = Field(
        default=1024 * 1024,
        ge=65_536,
        description="Bytes that wait for one persistent session, and its subscriptions.",
    )
    inbox_max_bytes: int = Field(
        default=8 * 1024 * 1024, ge=1024 * 1024, description="Bytes of messages that may wait for another node."
    )
    queue_max_age: int = Field(
        default=86_400, ge=1, description="Seconds that a message may wait for the client of a persistent session."
    )
    queue_positions_max_age: int = Field(
        default=300,
        ge=1,
        le=900,
        description="The same for what was published to an ingest topic: positions, off campus too, are not kept.",
    )
    retained_anonymous_max: int = Field(
        default=1000, ge=0, description="How many retained messages may be of anonymous clients."
    )
    retained_anonymous_max_bytes: int = Field(
        default=2 * 1024 * 1024, ge=0, description="Bytes of the retained messages of anonymous clients."
    )
    drain_notice: float = Field(
        default=3.0,
        ge=0,
        le=60,
        description="Seconds after SIGUSR1 in which it still accepts connections: proxies have to see that it drains.",
    )
    drain_seconds: float = Field(
        default=20.0, ge=0, le=3600, description="Seconds over which its connections are then ended, one after another."
    )
    drain_on_term: bool = Field(
        default=False,
        description="SIGTERM drains it, too, as Kubernetes wants it, and a second one ends it at once; whoever sends "
        "it has to wait for DRAIN_NOTICE + DRAIN_SECONDS and some seconds more.",
    )
    sys_interval: float = Field(default=10.0, gt=0, description="Seconds between two updates of $SYS/broker/...")
