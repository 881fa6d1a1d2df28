"""Who may publish, subscribe to and receive what: a table of rules, and amqtt's plugins over it."""

from collections.abc import Collection
from dataclasses import dataclass, field

from amqtt.contexts import Action
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.session import Session

from broker.auth.users import Authenticator
from broker.protocol.topics import MIRROR
from core.kinds import DEVICES, Kinds, Role
from core.versions import PUBLIC, WIRE
from state.refusals import REFUSED, own_topic

ROLE_ATTRIBUTE = "campus.role"
"""Where amqtt's session holds the role of its user."""
_SYS = "$SYS"
_SHARED = "$share"


@dataclass(frozen=True, slots=True)
class FirstLevels:
    """Topics or topic filters by their first level: only those named, or all but those named."""

    names: frozenset[str]
    others: bool

    def has(self, topic: str) -> bool:
        """Whether a topic or a topic filter is one of them."""
        return (topic.partition("/")[0] in self.names) is not self.others


def only(*names: str) -> FirstLevels:
    """The topics with these first levels, and no others."""
    return FirstLevels(frozenset(names), others=False)


def all_but(*names: str) -> FirstLevels:
    """All topics but those with these first levels."""
    return FirstLevels(frozenset(names), others=True)


@dataclass(frozen=True, slots=True)
class Rule:
    """What one role may do."""

    publish: FirstLevels
    subscribe: FirstLevels
    """Compared with the first level of the filter as it is written: `+/zones` is not below `v1`."""
    receive: FirstLevels
    """What reaches a subscriber at all: a subscription to `#` is no way to positions."""


def rules(kinds: Kinds, *, counts_are_true: bool = True) -> dict[Role, Rule]:
    """What each role may do, where there are these kinds; and whether counts are told as they are (PRIVACY=open).

    Else the figures of nodes below $SYS are for services alone: how many messages come in tells when somebody sends.
    """
    # Nobody speaks as $SYS, or to devices, but the system itself. Shared subscriptions are no part of MQTT 3.1.1:
    # whoever asks for one is told so (0x80), since it would deliver nothing.
    private = (*kinds.ingest_levels, DEVICES)
    # Which version of an application somebody gets is not theirs to choose: what it publishes below its version
    # reaches them below `apps`.
    shown = only(MIRROR, PUBLIC)
    figures = () if counts_are_true else (_SYS,)
    return {
        **{
            role: Rule(only(topic, *kinds.mapped_levels(kind)), shown, shown)
            for role, kind, topic in zip(kinds.device_roles, kinds.ids, kinds.topics, strict=True)
        },
        Role.GATEWAY: Rule(only(*kinds.ingest_levels), shown, shown),
        Role.SERVICE: Rule(publish=all_but(_SYS, DEVICES), subscribe=all_but(_SHARED), receive=all_but()),
        Role.APP: Rule(only(WIRE), shown, shown),
        Role.ANONYMOUS: Rule(
            publish=all_but(_SYS, DEVICES, MIRROR, PUBLIC, WIRE),
            subscribe=all_but(_SHARED, *private, WIRE, *figures),
            receive=all_but(*private, WIRE, *figures),
        ),
    }


class AccessRules:
    """Who may do what where there are these kinds."""

    def __init__(self, kinds: Kinds, *, counts_are_true: bool = True) -> None:
        """`counts_are_true` as `rules` has it."""
        self._kinds = kinds
        self._rules = rules(kinds, counts_are_true=counts_are_true)

    def may_publish(self, role: Role, topic: str) -> bool:
        """Whether a user with this role may publish to a topic."""
        allowed = self._rules[role].publish.has(topic)
        # Topics of several kinds may have one first level.
        return allowed and (role.kind is None or self._kinds.ingest_kind(topic) in {role.kind, None})

    def may_subscribe(self, role: Role, topic_filter: str, closed: Collection[str] = (), *, user: str = "") -> bool:
        """Whether a user with this role may subscribe to a topic filter.

        The filters in `closed`, written exactly so, are for services alone: see MQTT_NO_SUBSCRIBE. `user` is the user's
        name, empty for an anonymous client: a device may follow what is refused of its own.
        """
        allowed = self._rules[role].subscribe.has(topic_filter) or _is_own(role, topic_filter, user)
        return allowed and (topic_filter not in closed or role is Role.SERVICE) and _may_follow(role, topic_filter)

    def may_receive(self, role: Role, topic: str, *, user: str = "") -> bool:
        """Whether what is published to a topic may be delivered to a user with this role, whatever it subscribed to."""
        allowed = self._rules[role].receive.has(topic) or _is_own(role, topic, user)
        return allowed and _may_follow(role, topic)


def _is_own(role: Role, topic: str, user: str) -> bool:
    """Whether a topic, or a filter in exactly these words, is where this device hears of what it sent."""
    return role.kind is not None and topic == own_topic(user)


def _may_follow(role: Role, topic: str) -> bool:
    """What devices sent wrong names their users: that is for services alone."""
    return role is Role.SERVICE or not topic.startswith(REFUSED)


class Authentication(BaseAuthPlugin):
    """Lets users in, and clients without a user where that is allowed."""

    @dataclass
    class Config:
        """What the node hands over."""

        authenticator: Authenticator

    async def authenticate(self, *, session: Session) -> bool:
        """Whether this client may connect; then its role is an attribute of the session.

        Raises BusyError and UnavailableError as `Authenticator.authenticate` does: both mean server unavailable, not
        refused.
        """
        password = session.password
        role = await self.config.authenticator.authenticate(
            session.username,
            password.encode() if isinstance(password, str) else password,
            address=session.remote_address or "",
        )
        if role is None:
            return False
        session.attributes[ROLE_ATTRIBUTE] = role
        session.is_anonymous = role is Role.ANONYMOUS
        return True


class Topics(BaseTopicPlugin):
    """Holds clients to the rules of their roles."""

    @dataclass
    class Config:
        """What the node hands over."""

        access: AccessRules
        no_subscribe: list[str] = field(default_factory=list)

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool:
        """Whether a client may publish to a topic, subscribe to a filter, or receive from a topic."""
        if session is None or topic is None or action is None:
            return False
        role = session.attributes.get(ROLE_ATTRIBUTE, Role.ANONYMOUS)
        access: AccessRules = self.config.access
        match action:
            case Action.PUBLISH:
                return access.may_publish(role, topic)
            case Action.SUBSCRIBE:
                return access.may_subscribe(role, topic, self.config.no_subscribe, user=session.username or "")
            case Action.RECEIVE:
                return access.may_receive(role, topic, user=session.username or "")
