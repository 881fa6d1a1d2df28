"""Settings that several services share. They come from the environment, under the names given here."""

import os
import platform
import sys
from pathlib import Path
from typing import Annotated, Literal, TypeVar
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.errors import BadSettingsError
from core.kinds import Kinds, Role, load_kinds
from runtime.ages import parse_ages

REDIS_SOCKET = "redis.sock"
KEYS_SOCKET = "keys.sock"
"""Of the Redis that has nothing but keys, where a laptop run has one."""
REDIS_PASSWORDS = Path("secrets") / "redis"
"""Where in DATA_DIR a laptop run keeps the passwords of the users of its Redis, a file for each."""
SECRETS_DIR = "/run/secrets"
"""Where containers find their secrets, unless the variable SECRETS_DIR names another folder."""
MAX_SECRET_BYTES = 65_536
Port = Annotated[int, Field(ge=1, le=65535)]


class Settings(BaseSettings):
    """The base of every service's settings: field names in capitals are the environment variables."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True)


class KindsSettings(Settings):
    """What all must agree on about what is counted."""

    kinds_file: Path | None = Field(
        default=None, description="JSON of the kinds of devices, the same for all services; unset: cars and phones."
    )
    topic_kinds: str = Field(
        default="",
        description="Further topics for positions, and the kind of each, for apps that cannot choose their topic, the"
        " same for all services: owntracks/+/+=mobile,trackers/+=car. Unset: none.",
    )

    def kinds(self) -> Kinds:
        """The table of KINDS_FILE with the topics of TOPIC_KINDS. Raises BadSettingsError, which names one of them."""
        return load_kinds(self.kinds_file, self.topic_kinds)


class CommonSettings(KindsSettings):
    """What every service needs."""

    data_dir: Path = Field(default=Path("data"), description="Folder of the embedded stores and keys.")
    redis_url: str = Field(
        default="",
        description="redis://, rediss:// or unix:// address, redis+sentinel://host:port,.../service, or"
        " redis+cluster://host:port,...; by default the socket in DATA_DIR.",
    )
    raw_redis_url: str = Field(
        default="",
        description="A Redis of its own for messages that wait to be decoded, as REDIS_URL; unset: that one. Its file"
        " is small, so it is rewritten without finished messages at little cost.",
    )
    redis_ca: Path | None = Field(
        default=None,
        description="File of the authorities whose certificates Redis may have, where REDIS_URL is rediss; unset: the"
        " system's.",
    )
    partitions: int = Field(default=1, ge=1, le=256, description="Partitions of the streams; the same everywhere.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least level logged.")
    log_format: Literal["console", "json"] = Field(default="console", description="console for people, json for tools.")
    service_node: str = Field(
        default_factory=platform.node,
        description="Name of this process in its log, for services that have no other; by default the host's.",
    )
    log_time: bool = Field(default=True, description="Begin each console line with the time; a runner may do that.")

    @property
    def redis_address(self) -> str:
        """Where Redis is: REDIS_URL, or the socket that a laptop run makes in DATA_DIR."""
        return self.redis_url or f"unix://{quote(str((self.data_dir / REDIS_SOCKET).resolve()))}"

    def redis_address_of(self, user: str) -> str:
        """The same for a user of Redis (`deploy.access.users`): REDIS_URL names one, a laptop run has a file for each.

        Raises BadSettingsError where that cannot be read.
        """
        return self.redis_url or self.logged_in(self.redis_address, user)

    def logged_in(self, address: str, user: str) -> str:
        """The address of a socket of a laptop run with a user, where there is a password for it.

        Raises BadSettingsError where that cannot be read.
        """
        path = self.data_dir / REDIS_PASSWORDS / user
        if not user or not path.exists():
            return address
        try:
            password = path.read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            raise BadSettingsError(f"{path}: the password of Redis cannot be read: {error}") from error
        return address.replace("unix://", f"unix://{quote(user)}:{quote(password, safe='')}@", 1)


class KeysSettings(CommonSettings):
    """Where keys lie that are to be destroyed one day (`state.keys_redis`)."""

    keys_redis_url: str = Field(
        default="",
        description="A Redis that has nothing but keys which are to be destroyed, as REDIS_URL; unset: the socket in"
        " DATA_DIR, where a laptop run has one, or none.",
    )

    @property
    def has_keys_redis(self) -> bool:
        """Whether there is one."""
        return bool(self.keys_redis_url) or self._keys_socket.exists()

    def keys_redis_address_of(self, user: str) -> str:
        """Where it is, for a user of Redis. Raises BadSettingsError where there is none, or no password for it."""
        if not self.has_keys_redis:
            raise BadSettingsError(
                "KEYS_REDIS_URL: is not set, and keys that are to be destroyed need a Redis of their own: set it, such"
                " as redis://redis-keys:6379"
            )
        own = keys_address(self.data_dir)
        return self.keys_redis_url if self.keys_redis_url not in {"", own} else self.logged_in(own, user)

    @property
    def _keys_socket(self) -> Path:
        return self.data_dir / KEYS_SOCKET


def keys_address(data_dir: Path) -> str:
    """KEYS_REDIS_URL of a laptop run, without a user."""
    return f"unix://{quote(str((data_dir / KEYS_SOCKET).resolve()))}"


class OpsSettings(Settings):
    """Where a service tells operators how it is."""

    ops_host: str = Field(default="127.0.0.1", description="Address of /healthz, /readyz and /metrics.")
    ops_port: int | None = Field(default=None, ge=1, le=65535, description="Their port; unset: they are not served.")
    campus_version: str = Field(
        default="", description="Version of what runs, for campus_build_info; images set it. Unset: pyproject.toml's."
    )
    campus_revision: str = Field(default="unknown", description="Commit of what runs, likewise; images set it.")


class ReserveSettings(Settings):
    """How a service hears that the disk of Redis is nearly full."""

    redis_reserve: Path | None = Field(
        default=None,
        description="A file beside Redis's data that is there as long as its disk has room; without it, and where less"
        " than its size is free, nothing new is taken. Whoever runs Redis makes and removes it, as `make run` does."
        " Unset: nobody looks.",
    )


class RoomSettings(ReserveSettings):
    """When whoever takes something new for Redis waits, so that there is room to work off what it has."""

    redis_memory_share: float = Field(
        default=0.9, gt=0, le=1, description="Part of Redis's maxmemory from which on nothing new is taken."
    )


class DeviceSettings(KeysSettings):
    """What whoever knows plain device ids needs."""

    device_key: SecretStr | None = Field(
        default=None, description="Key of the device hashes, 64 hexadecimal digits; unset: one is made in DATA_DIR."
    )
    device_key_rotation: Literal["", "never", "day", "week", "month"] = Field(
        default="",
        description="How long a device keeps its hash: never (for ever), day, week or month, to a midnight of the"
        " campus; the same everywhere. Unset: week, and never with PRIVACY=open. Needs KEYS_REDIS_URL.",
    )
    device_source: bool | None = Field(
        default=None,
        description="Whether who sends a position is a part of who its device is, so that nobody speaks for another's;"
        " the same everywhere. Unset: true, and false with PRIVACY=open.",
    )


class FaultSettings(Settings):
    """Whether faults can be made on purpose, and for how long."""

    faults: bool = Field(
        default=False, description="Administrators may make faults on purpose, for a time; false: nobody can."
    )
    faults_max_seconds: int = Field(
        default=600, ge=1, le=3600, description="Seconds that a fault on purpose may last, at most."
    )


class CampusSettings(Settings):
    """What the decoder and the API must agree on about the campus."""

    campus_file: Path | None = Field(
        default=None, description="GeoJSON of the campus; unset: the University of Limerick."
    )
    campus_timezone: str = Field(default="Europe/Dublin", description="IANA time zone whose days the 1d windows are.")
    presence_ttl: int = Field(
        default=300, ge=1, le=86_400, description="Seconds after its newest position in which a device is present."
    )

    @field_validator("campus_timezone")
    @classmethod
    def _known_time_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, OSError, ValueError) as error:
            raise ValueError(f"{name!r} is not an IANA time zone such as Europe/Dublin") from error
        return name


class PositionSettings(Settings):
    """What whoever takes positions must agree on about them."""

    position_max_age: str = Field(
        default="",
        description="How old a position may be when it is received, by the role of who sends it: car=7d,mobile=12h. A"
        " role that is not named may send any; unset: 7d for devices of each kind and for clients without a user.",
    )

    def position_max_age_ms(self, kinds: Kinds, *, most: int | None = None) -> dict[Role, int]:
        """POSITION_MAX_AGE in milliseconds; `most` is how old a position of anybody may be, where there is such an age.

        Raises BadSettingsError, which names it.
        """
        try:
            return parse_ages(self.position_max_age, kinds, most=most)
        except ValueError as error:
            raise BadSettingsError(f"POSITION_MAX_AGE: {error}") from error


class RetainedSettings(Settings):
    """How many retained messages brokers keep: the mirror of the API needs some for each zone."""

    retained_max: int = Field(
        default=25_000,
        ge=1,
        le=1_000_000,
        description="Retained messages of the whole cluster; the mirror needs two a zone, and two more; where visits"
        " and forecasts are computed, three more a zone, and one more.",
    )
    retained_max_bytes: int = Field(
        default=8 * 1024 * 1024,
        ge=1024,
        description="Bytes of all retained messages, with their topics; the mirror needs some 1,000 a zone.",
    )


class ObjectStorageSettings(Settings):
    """What opens a bucket: one key for all that is put into object storage."""

    s3_endpoint: str = Field(
        default="",
        description="Address of the object storage, where it is not Amazon's:"
        " https://s3.eu-de.cloud-object-storage.appdomain.cloud",
    )
    s3_region: str = Field(default="us-east-1", min_length=1, max_length=64, description="Its region, such as eu-de.")
    s3_access_key_id: SecretStr = Field(
        default=SecretStr(""), description="Id of the HMAC key that may use the bucket."
    )
    s3_secret_access_key: SecretStr = Field(default=SecretStr(""), description="The secret of that key.")

    @field_validator("s3_endpoint")
    @classmethod
    def _is_http(cls, url: str) -> str:
        if url and not (urlsplit(url).scheme in {"http", "https"} and urlsplit(url).hostname):
            raise ValueError("not an address such as https://s3.eu-de.cloud-object-storage.appdomain.cloud")
        return url

    def check_place(self, variable: str, url: str) -> None:
        """Raise ValueError, which names the variable, where `url` is no place, or a bucket without its key."""
        parts = urlsplit(url)
        if parts.scheme == "s3":
            if not parts.hostname:
                raise ValueError(f"{variable}: the bucket is missing, as in s3://bucket/prefix")
            if not (self.s3_access_key_id.get_secret_value() and self.s3_secret_access_key.get_secret_value()):
                raise ValueError(f"{variable}: s3:// also needs S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY")
        elif parts.scheme != "file" or parts.netloc or not parts.path.startswith("/"):
            raise ValueError(f"{variable}: not an address such as s3://bucket/prefix or file:///a/folder")


AnySettings = TypeVar("AnySettings", bound=Settings)


def read_secrets() -> None:
    """Let each file of SECRETS_DIR be the environment variable of its name, as containers are given their secrets.

    A variable that is set already stays. Files whose names are not in capitals are something else. This reaches
    libraries that read variables of their own, and nobody who looks at the container from outside.
    Raises BadSettingsError for a folder or a file that cannot be read, or a file of more than `MAX_SECRET_BYTES`.
    """
    folder = Path(os.environ.get("SECRETS_DIR") or SECRETS_DIR)
    if not folder.is_dir():
        return
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise BadSettingsError(f"{folder}: the secrets cannot be read: {error}") from error
    for path in paths:
        if not path.name.replace("_", "").isalnum() or path.name != path.name.upper() or os.environ.get(path.name):
            continue
        try:
            if path.stat().st_size > MAX_SECRET_BYTES:
                raise BadSettingsError(f"{path}: a secret has {MAX_SECRET_BYTES:,} bytes at the most")
            os.environ[path.name] = path.read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            raise BadSettingsError(f"{path}: the secret cannot be read: {error}") from error


def load(settings: type[AnySettings]) -> AnySettings:
    """The settings of a service, from the environment and the files of SECRETS_DIR.

    Raises BadSettingsError, which names each variable that is wrong, its value's fault, and what it is for.
    """
    read_secrets()
    try:
        return settings()
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            name = str(problem["loc"][0]) if problem["loc"] else "settings"
            field = settings.model_fields.get(name)
            about = f" ({field.description})" if field and field.description else ""
            lines.append(f"{name.upper()}: {problem['msg']}{about}")
        raise BadSettingsError("\n".join(lines)) from error


def kinds_or_exit(settings: KindsSettings) -> Kinds:
    """The kinds of KINDS_FILE and TOPIC_KINDS, or a message on standard error and exit code 2."""
    try:
        return settings.kinds()
    except BadSettingsError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(2) from error


def load_or_exit(settings: type[AnySettings]) -> AnySettings:
    """The settings of a service, or a message on standard error and exit code 2."""
    try:
        return load(settings)
    except BadSettingsError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(2) from error
