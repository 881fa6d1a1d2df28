"""What other nodes have for the clients of this one."""

from collections.abc import Awaitable, Callable, Mapping

from broker.protocol.message import Message
from broker.protocol.reasons import Refusal
from broker.routing.ports import Connected
from broker.routing.subscriptions import Subscriptions
from broker.tasks import Tasks
from core.kinds import Role
from runtime.retry import until_available

ChangedUsers = Callable[[Mapping[str, Role]], Awaitable[set[str]]]
"""Of the users who are connected with these roles, those who have to go; as `Authenticator.changed`."""


class LocalDelivery:
    """This node, as its cluster asks for it (`broker.cluster.local`)."""

    def __init__(
        self,
        *,
        connections: Mapping[int, Connected],
        clients: Mapping[str, Connected],
        subscriptions: Subscriptions,
        changed_users: ChangedUsers,
        forget_routes: Callable[[], None],
        tasks: Tasks,
    ) -> None:
        """`forget_routes` is called when nobody knows any more what this node has advertised."""
        self._connections = connections
        self._clients = clients
        self._subscriptions = subscriptions
        self._changed_users = changed_users
        self._forget_routes = forget_routes
        self._tasks = tasks

    def deliver(self, messages: list[Message]) -> None:
        """Messages that were published on other nodes."""
        for message in messages:
            self._subscriptions.deliver(message)

    def wake(self, client_id: str) -> None:
        """There is something in the queue of a persistent session."""
        client = self._clients.get(client_id)
        if client is not None:
            client.wake()

    def changed(self, topics: list[str]) -> None:
        """States have changed on other nodes, and are for persistent sessions here."""
        self._subscriptions.wake(topics)

    def disconnect(self, client_id: str, connection: int) -> None:
        """A client has connected elsewhere: the older connection ends."""
        older = self._connections.get(connection)
        if older is not None and older.client_id == client_id:
            older.end(Refusal.TAKEN_OVER)

    def fenced(self) -> None:
        """The others took this node for dead: its sessions are theirs, and its clients have to come again."""
        self._forget_routes()
        for connection in list(self._connections.values()):
            connection.abort(Refusal.EXPELLED)

    def users_changed(self) -> None:
        """Somebody has changed the users."""
        self._tasks.detach(self._send_away())

    async def _send_away(self) -> None:
        async def changed() -> set[str]:
            present = self._connections.values()
            named = {each.user: each.role for each in present if each.role is not Role.ANONYMOUS}
            return await self._changed_users(named)

        gone = await until_available(changed)
        for connection in list(self._connections.values()):
            if connection.user in gone and connection.role is not Role.ANONYMOUS:
                connection.abort(Refusal.USER_CHANGED)
