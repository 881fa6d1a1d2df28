"""The buckets of InfluxDB: one for each width of window, each with its own retention."""

import re
from collections.abc import Mapping
from types import MappingProxyType

import structlog
from influxdb_client.client.influxdb_client_async import InfluxDBClientAsync
from influxdb_client.domain.bucket_retention_rules import BucketRetentionRules
from influxdb_client.domain.post_bucket_request import PostBucketRequest
from influxdb_client.rest import ApiException
from influxdb_client.service.buckets_service import BucketsService
from influxdb_client.service.organizations_service import OrganizationsService

from core.errors import BadSettings
from timeseries.influx_errors import NOT_FOUND, REFUSED, UNPROCESSABLE, influx_errors, said
from timeseries.windows import Width

DAY_SECONDS = 86_400
RETENTION_SECONDS: Mapping[Width, int | None] = MappingProxyType(
    {Width.MINUTE: 7 * DAY_SECONDS, Width.FIVE_MINUTES: 90 * DAY_SECONDS, Width.HOUR: None, Width.DAY: None}
)
"""How long InfluxDB keeps a point, from the start of its window; None is for ever."""
_ORGANIZATION_ID = re.compile(r"[0-9a-f]{16}")

_log = structlog.stdlib.get_logger("timeseries")


def bucket_name(prefix: str, width: Width) -> str:
    """The bucket that holds the windows of one width."""
    return f"{prefix}_{width}"


async def make_buckets(client: InfluxDBClientAsync, *, org: str, prefix: str) -> None:
    """Make the buckets that are missing. One that is there stays as it is, with the retention an operator gave it.

    `org` is a name or an id. Raises Unavailable, and BadSettings where the organization is unknown or the token is
    refused.
    """
    with influx_errors():
        try:
            await _make_buckets(client, org, prefix)
        except ApiException as error:
            if error.status not in REFUSED:
                raise
            raise BadSettings(
                f"INFLUXDB_V2_TOKEN: InfluxDB refuses it: {said(error)} (it must read and write buckets)"
            ) from error


async def _make_buckets(client: InfluxDBClientAsync, org: str, prefix: str) -> None:
    service = BucketsService(client.api_client)
    org_id = org if _ORGANIZATION_ID.fullmatch(org) else None
    for width, retention in RETENTION_SECONDS.items():
        name = bucket_name(prefix, width)
        if await _exists(service, name, {"org_id": org_id} if org_id else {"org": org}):
            continue
        # Asked for only now, so that a token for existing buckets alone is enough.
        org_id = org_id or await _organization_id(client, org)
        # "For ever" is no rule at all: some versions refuse a rule of 0 seconds.
        rules = [] if retention is None else [BucketRetentionRules(type="expire", every_seconds=retention)]
        try:
            await service.post_buckets_async(PostBucketRequest(org_id=org_id, name=name, retention_rules=rules))
        except ApiException as error:
            if error.status != UNPROCESSABLE or "already exists" not in str(error.message):
                raise
            # Another process was faster.
            continue
        _log.info("bucket made", bucket=name, retention_seconds=retention)


async def _exists(service: BucketsService, name: str, organization: dict[str, str]) -> bool:
    try:
        answer = await service.get_buckets_async(name=name, **organization)
    except ApiException as error:
        if error.status == NOT_FOUND:
            return False
        raise
    # Early versions answer a name that is not there with the buckets of the system.
    return any(bucket.name == name for bucket in answer.buckets or [])


async def _organization_id(client: InfluxDBClientAsync, org: str) -> str:
    try:
        answer = await OrganizationsService(client.api_client).get_orgs_async(org=org)
    except ApiException as error:
        if error.status != NOT_FOUND:
            raise
        found = []
    else:
        found = [one.id for one in answer.orgs or [] if one.name == org]
    if not found:
        raise BadSettings(f"INFLUXDB_V2_ORG: InfluxDB knows no organization {org!r}")
    return str(found[0])
