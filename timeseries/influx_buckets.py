"""The buckets of InfluxDB: one for each width of window, each with the retention that OCCUPANCY_KEEP says.

One more is for the results of jobs. It keeps all: typical weeks lie in 1970, and the jobs remove what is old.
"""

import re
from typing import Any

import structlog

from core.errors import BadSettingsError, UnavailableError
from core.windows import Width
from timeseries.influx_answers import (
    NOT_FOUND,
    SERVER_ERRORS,
    TIMED_OUT,
    TOO_MANY,
    UNPROCESSABLE,
    AnswerError,
    Meaning,
)
from timeseries.influx_http import InfluxHttp
from timeseries.keep import Keep

DAY_SECONDS = 86_400
SHARDS = 8
"""Parts of its time that a bucket with a retention is kept in: a part is dropped as a whole."""
SHARD_DAYS_MAX = 364
"""Each part costs memory and open files, whatever is in it. In weeks, as InfluxDB has it by itself, five years of four
buckets took 980 MB and 9,400 files; in years, 140 MB and 260 (decision 16)."""
_LATER = frozenset({TIMED_OUT, TOO_MANY})
_ORGANIZATION_ID = re.compile(r"[0-9a-f]{16}")

_log = structlog.stdlib.get_logger("timeseries")


def bucket_name(prefix: str, width: Width) -> str:
    """The bucket that holds the windows of one width."""
    return f"{prefix}_{width}"


def results_bucket(prefix: str) -> str:
    """The bucket that holds the results of jobs."""
    return f"{prefix}_results"


async def find_bucket(http: InfluxHttp, org: str, name: str) -> dict[str, Any] | None:
    """A bucket as InfluxDB tells it, None where it is not there; `org` is a name or an id. Raises AnswerError.

    By its name: a list of all of them is cut off at 100.
    """
    organization = {"orgID": org} if _ORGANIZATION_ID.fullmatch(org) else {"org": org}
    try:
        answer = await http.json("GET", "/api/v2/buckets", parameters={"name": name, **organization})
    except AnswerError as error:
        if error.status == NOT_FOUND:
            return None
        raise
    # Early versions answer a name that is not there with the buckets of the system.
    return next((bucket for bucket in answer.get("buckets") or [] if bucket["name"] == name), None)


class Buckets:
    """What there is of them, and making it so."""

    def __init__(self, http: InfluxHttp, *, org: str, prefix: str, keep: Keep) -> None:
        """`org` is a name or an id."""
        self._http = http
        self._org = org
        self._org_id = org if _ORGANIZATION_ID.fullmatch(org) else None
        self._prefix = prefix
        self._keep = keep

    async def setup(self) -> None:
        """Make the buckets that are missing, and give those that are there the retention of the settings.

        Where that of results is missing and may not be made, as with a token for the others alone, the log says so.
        Raises UnavailableError, and BadSettingsError where the organization is unknown or the token is refused.
        """
        try:
            for width in Width:
                name = bucket_name(self._prefix, width)
                bucket = await self._find(name)
                if bucket is None:
                    await self._make(name, self._rule(self._seconds(width)))
                elif not self._is_as_it_should_be(width, bucket):
                    await self._change(width, bucket)
            await self._set_up_results()
        except AnswerError as error:
            if error.meaning is Meaning.TOKEN:
                raise BadSettingsError(
                    f"INFLUXDB_V2_TOKEN: InfluxDB refuses it: {error.words} (it must read and write buckets)"
                ) from error
            raise error.unavailable() from error

    async def _set_up_results(self) -> None:
        name = results_bucket(self._prefix)
        try:
            if await self._find(name) is None:
                await self._make(name, self._rule(0))
        except (AnswerError, BadSettingsError) as error:
            if isinstance(error, AnswerError) and (error.status >= SERVER_ERRORS or error.status in _LATER):
                raise
            _log.warning("bucket of results is missing, and cannot be made", bucket=name, reason=str(error))

    async def kept_ms(self, width: Width) -> int | None:
        """How long a bucket keeps points, in milliseconds, as it is at present; None for ever.

        Raises UnavailableError.
        """
        name = bucket_name(self._prefix, width)
        try:
            bucket = await self._find(name)
        except AnswerError as error:
            raise error.unavailable() from error
        if bucket is None:
            raise UnavailableError(f"InfluxDB lacks the bucket {name} (python -m timeseries setup makes it)")
        seconds = _seconds_kept(bucket)
        return seconds * 1000 if seconds else None

    def _seconds(self, width: Width) -> int:
        return self._keep.get(width, 0) // 1000

    def _rule(self, seconds: int) -> dict[str, Any]:
        days = SHARD_DAYS_MAX if seconds == 0 else min(max(seconds // DAY_SECONDS // SHARDS, 1), SHARD_DAYS_MAX)
        return {"type": "expire", "everySeconds": seconds, "shardGroupDurationSeconds": days * DAY_SECONDS}

    def _is_as_it_should_be(self, width: Width, bucket: dict[str, Any]) -> bool:
        wanted = self._rule(self._seconds(width))
        if _seconds_kept(bucket) != wanted["everySeconds"]:
            return False
        # InfluxDB Cloud has no such parts.
        parts = {rule.get("shardGroupDurationSeconds", 0) for rule in bucket.get("retentionRules") or []}
        return parts <= {0, wanted["shardGroupDurationSeconds"]}

    async def _find(self, name: str) -> dict[str, Any] | None:
        return await find_bucket(self._http, self._org_id or self._org, name)

    async def _make(self, name: str, rule: dict[str, Any]) -> None:
        # Asked for only now, so that a token for existing buckets alone is enough.
        self._org_id = self._org_id or await self._organization_id()
        body = {"orgID": self._org_id, "name": name, "retentionRules": [rule]}
        try:
            await self._http.json("POST", "/api/v2/buckets", body=body)
        except AnswerError as error:
            if error.status != UNPROCESSABLE or "already exists" not in error.words:
                raise
            # Another process was faster.
            return
        _log.info("bucket made", bucket=name, keeps=_in_words(rule["everySeconds"]))

    async def _change(self, width: Width, bucket: dict[str, Any]) -> None:
        name, seconds, before = bucket["name"], self._seconds(width), _seconds_kept(bucket)
        rule = self._rule(seconds)
        try:
            await self._http.json("PATCH", f"/api/v2/buckets/{bucket['id']}", body={"retentionRules": [rule]})
        except AnswerError as error:
            if error.status >= SERVER_ERRORS or error.status in _LATER:
                raise
            # A plan of InfluxDB Cloud keeps no longer than it is paid for. What answers say is what the bucket does.
            _log.warning(
                "bucket keeps another time than OCCUPANCY_KEEP says, and cannot be changed",
                bucket=name,
                keeps=_in_words(before),
                asked=_in_words(seconds),
                answer=error.words,
            )
            return
        _log.warning(
            "bucket now keeps what OCCUPANCY_KEEP says",
            bucket=name,
            keeps=_in_words(seconds),
            kept=_in_words(before),
            in_parts_of=_in_words(rule["shardGroupDurationSeconds"]),
        )

    async def _organization_id(self) -> str:
        try:
            answer = await self._http.json("GET", "/api/v2/orgs", parameters={"org": self._org})
        except AnswerError as error:
            if error.status != NOT_FOUND:
                raise
            answer = {}
        found = [one["id"] for one in answer.get("orgs") or [] if one["name"] == self._org]
        if not found:
            raise BadSettingsError(
                f"INFLUXDB_V2_ORG: InfluxDB knows no organization {self._org!r}, or INFLUXDB_V2_TOKEN may not look it "
                "up: then name it by its id"
            )
        return str(found[0])


def _seconds_kept(bucket: dict[str, Any]) -> int:
    """0 for ever."""
    return sum(rule.get("everySeconds", 0) for rule in bucket.get("retentionRules") or [])


def _in_words(seconds: int) -> str:
    return f"{seconds / 86_400:g}d" if seconds else "all"
