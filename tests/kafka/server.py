"""Kafka itself, as `tests/kafka/build` fetches it: one broker of one test's own, and killed as it pleases."""

import shutil
import signal
import subprocess
import time
import uuid
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from tests.ports import free_port

BUILD = Path(__file__).with_name("build")
START_SECONDS = 240.0
"""A machine that is ten times as busy as it should be takes its time."""
ASK_SECONDS = 10.0
STOP_SECONDS = 60.0


def kafka_jars() -> Path | None:
    """The folder that `make kafka` has filled; None where that, or Java, is not there."""
    folder = Path(subprocess.run([BUILD, "--where"], capture_output=True, text=True, check=True).stdout.strip())
    return folder if folder.is_dir() and shutil.which("java") else None


@dataclass(slots=True)
class KafkaServer:
    """A broker that is its own controller, on ports and in a folder of its own."""

    jars: Path
    folder: Path
    port: int = 0
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def address(self) -> str:
        """For KAFKA_SERVERS."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers; again after `kill`, with what it had, on the same port."""
        if not self.port:
            self._make()
        with (self.folder / "kafka.log").open("ab") as log:
            self.process = subprocess.Popen(
                self._java("kafka.Kafka", str(self._properties)), stdout=log, stderr=log, cwd=self.folder
            )
        until = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self.process.poll() is None, self.log
            assert time.monotonic() < until, self.log

    def kill(self) -> None:
        """As the kernel does it: nothing is written any more."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(STOP_SECONDS)
            self.process = None

    def messages(self, topic: str) -> list[Message]:
        """All that is in a topic, partition by partition, each in its order."""
        consumer = Consumer({"bootstrap.servers": self.address, "group.id": "test", "enable.auto.commit": False})
        try:
            partitions = consumer.list_topics(topic, timeout=START_SECONDS).topics[topic].partitions
            found: list[Message] = []
            for number in partitions:
                _, end = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=START_SECONDS)
                consumer.assign([TopicPartition(topic, number, 0)])
                # Batches of control records have offsets, too, and are no messages.
                while consumer.position([TopicPartition(topic, number)])[0].offset < end:
                    message = consumer.poll(ASK_SECONDS)
                    if message is not None and message.error() is None:
                        found.append(message)
                    if end == 0:
                        break
            return found
        finally:
            consumer.close()

    @property
    def log(self) -> str:
        """The end of what it has said."""
        return (self.folder / "kafka.log").read_text(errors="replace")[-4000:]

    def _answers(self) -> bool:
        try:
            return bool(AdminClient({"bootstrap.servers": self.address, "log_level": 0}).list_topics(timeout=2).brokers)
        except KafkaException:
            return False

    @property
    def _properties(self) -> Path:
        return self.folder / "server.properties"

    def _make(self) -> None:
        self.port, controller = free_port(), free_port()
        self._properties.write_text(
            f"""process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=CLIENTS://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=CLIENTS://127.0.0.1:{self.port}
listener.security.protocol.map=CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=CLIENTS
controller.listener.names=CONTROLLER
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
auto.create.topics.enable=false
log.dirs={self.folder / "data"}
"""
        )
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        command = self._java("kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(self._properties))
        made = subprocess.run(command, capture_output=True, text=True, check=False, cwd=self.folder)
        assert made.returncode == 0, made.stdout + made.stderr

    def _java(self, *arguments: str) -> list[str]:
        return ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{self.jars}/*", *arguments]
