"""Who this node is."""

import secrets


class Identity:
    """One life of a node after the other: whoever was taken for dead goes on under another name."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.node = ""
        """`<BROKER_NODE>:<8 hex digits>`."""
        self.renew()

    def renew(self) -> None:
        """Become another node, of which nobody has heard yet."""
        self.node = f"{self._name}:{secrets.token_hex(4)}"
