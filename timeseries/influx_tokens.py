"""Tokens of InfluxDB for who writes windows and for who reads them: neither may do more than that.

The token that the server was set up with may do all, also with buckets that are not ours. It is for `setup` and for
making these two.
"""

from collections.abc import Mapping
from typing import Any

from core.errors import BadSettingsError
from core.windows import Width
from timeseries.influx_answers import AnswerError, Meaning
from timeseries.influx_buckets import bucket_name, find_bucket, results_bucket
from timeseries.influx_http import InfluxHttp

RIGHTS: Mapping[str, tuple[str, ...]] = {"writer": ("read", "write"), "reader": ("read",)}
"""What each may do with our buckets. Who writes reads as well: coverage is a union, and nothing is lowered."""


async def make_tokens(http: InfluxHttp, *, org: str, prefix: str) -> dict[str, str]:
    """A new token for each of RIGHTS, by its name; those that were made so before are removed.

    The buckets have to be there. Raises BadSettingsError where they are not, or where the token of `http` may not make
    others, and UnavailableError.
    """
    try:
        wanted = [*(bucket_name(prefix, width) for width in Width), results_bucket(prefix)]
        found = {name: await find_bucket(http, org, name) for name in wanted}
        if missing := [name for name, bucket in found.items() if bucket is None]:
            raise BadSettingsError(
                f"INFLUXDB_BUCKET_PREFIX: InfluxDB lacks the buckets {', '.join(missing)} "
                "(python -m timeseries setup makes them)"
            )
        buckets = [bucket for bucket in found.values() if bucket is not None]
        organization = str(buckets[0]["orgID"])
        before = await _authorizations(http, organization)
        made = {}
        for name, actions in RIGHTS.items():
            body = {
                "orgID": organization,
                "description": _description(prefix, name),
                "permissions": [
                    {"action": action, "resource": {"type": "buckets", "id": bucket["id"], "orgID": organization}}
                    for bucket in buckets
                    for action in actions
                ],
            }
            made[name] = str((await http.json("POST", "/api/v2/authorizations", body=body))["token"])
        ours = {_description(prefix, name) for name in RIGHTS}
        for each in before:
            if each.get("description") in ours:
                await http.json("DELETE", f"/api/v2/authorizations/{each['id']}")
    except AnswerError as error:
        if error.meaning is Meaning.TOKEN:
            raise BadSettingsError(
                f"INFLUXDB_V2_TOKEN: InfluxDB refuses it: {error.words} (it must make authorizations)"
            ) from error
        raise error.unavailable() from error
    return made


def _description(prefix: str, name: str) -> str:
    return f"{name} of {prefix}"


async def _authorizations(http: InfluxHttp, organization: str) -> list[dict[str, Any]]:
    found = await http.json("GET", "/api/v2/authorizations", parameters={"orgID": organization})
    return list(found.get("authorizations") or [])
