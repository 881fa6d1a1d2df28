"""The brokers that are compared, and how each is started: a file each."""

from bench.broker.peers.hivemq import hivemq
from bench.broker.peers.mochi import mochi
from bench.broker.peers.mosquitto import MOSQUITTO, mosquitto
from bench.broker.peers.node import AEDES, MOSCA, aedes, mosca
from bench.broker.peers.ours import OURS, ours, profiled
from bench.broker.peers.peer import ROOT, Peer, Place
from bench.broker.peers.rumqttd import rumqttd

__all__ = ["AEDES", "MOSCA", "MOSQUITTO", "OURS", "ROOT", "Peer", "Place", "all_peers", "profiled"]


def all_peers() -> list[Peer]:
    """Ours first, then those that it is to leave behind, then those to reach."""
    return [*ours(), *aedes(), *mosca(), *mochi(), *mosquitto(), *hivemq(), *rumqttd()]
