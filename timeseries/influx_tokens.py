"""Tokens of InfluxDB for who writes windows and for who reads them: none may do more than that.

The token that the server was set up with may do all, also with buckets that are not ours. It is for making the buckets
and these tokens, and no service is given it.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from core.errors import BadSettingsError
from core.windows import Width
from timeseries.influx_answers import AnswerError, Meaning
from timeseries.influx_buckets import bucket_name, find_bucket, results_bucket
from timeseries.influx_http import InfluxHttp

Rights = Mapping[str, tuple[str, ...]]
"""What may be done with each bucket, by its name."""
_READ, _WRITE = ("read",), ("read", "write")


class Holder(StrEnum):
    """Who there is a token for."""

    WRITER = "writer"  # all windows, as the decoder has them; who writes reads as well: nothing is lowered
    READER = "reader"  # all windows, as a backup has them
    PUBLIC = "public"  # what may be told: under PRIVACY=open all windows, else released counts alone
    ANALYTICS = (
        "analytics"  # all windows, and writes the results of jobs beside them: it reads the lake's positions, too
    )


def rights(who: Holder, *, true: str, released: str | None) -> Rights:
    """What somebody may do; `true` and `released` are what buckets begin with, None where PRIVACY is open."""
    stores = [prefix for prefix in (true, released) if prefix is not None]
    if who in {Holder.WRITER, Holder.READER}:
        actions = _WRITE if who is Holder.WRITER else _READ
        return {name: actions for prefix in stores for name in _buckets(prefix)}
    if who is Holder.ANALYTICS:
        # Visits and flows are told to nobody where counts are released, and lie beside the true windows.
        read = {name: _READ for prefix in stores for name in _buckets(prefix)}
        return read | {results_bucket(prefix): _WRITE for prefix in stores}
    return dict.fromkeys(_buckets(stores[-1]), _READ)


async def give_tokens(
    http: InfluxHttp, *, org: str, prefix: str, wanted: Mapping[Holder, Rights], anew: bool = False
) -> dict[Holder, str]:
    """The token of each: one that is there already and may do just that, else a new one. `anew`: new ones in any case.

    Tokens of ours that may do something else are removed, and with `anew` all that were there. The buckets have to be
    there. Raises BadSettingsError where they are not, or where the token of `http` may not make others, and
    UnavailableError.
    """
    try:
        buckets = {name: await find_bucket(http, org, name) for each in wanted.values() for name in each}
        if missing := [name for name, bucket in buckets.items() if bucket is None]:
            raise BadSettingsError(
                f"INFLUXDB_BUCKET_PREFIX: InfluxDB lacks the buckets {', '.join(missing)} "
                "(python -m timeseries setup makes them)"
            )
        found = {name: bucket for name, bucket in buckets.items() if bucket is not None}
        organization = str(next(iter(found.values()))["orgID"])
        before = await _authorizations(http, organization)
        given: dict[Holder, str] = {}
        for who, may in wanted.items():
            description = f"{who} of {prefix}"
            asked = {(action, str(found[name]["id"])) for name, actions in may.items() for action in actions}
            ours = [each for each in before if each.get("description") == description]
            right = [] if anew else [each for each in ours if _may(each) == asked and each.get("status") == "active"]
            # A server that keeps tokens as hashes alone tells none: then it is a new one each time.
            token = next((str(each["token"]) for each in right if each.get("token")), None)
            given[who] = token or await _make(http, organization, description, sorted(asked))
            for each in ours:
                if each not in right:
                    await http.json("DELETE", f"/api/v2/authorizations/{each['id']}")
    except AnswerError as error:
        if error.meaning is Meaning.TOKEN:
            raise BadSettingsError(
                f"INFLUXDB_V2_TOKEN: InfluxDB refuses it: {error.words} (it must make authorizations)"
            ) from error
        raise error.unavailable() from error
    return given


def _buckets(prefix: str) -> list[str]:
    return [*(bucket_name(prefix, width) for width in Width), results_bucket(prefix)]


async def _make(http: InfluxHttp, organization: str, description: str, asked: list[tuple[str, str]]) -> str:
    permissions = [
        {"action": action, "resource": {"type": "buckets", "id": bucket, "orgID": organization}}
        for action, bucket in asked
    ]
    body = {"orgID": organization, "description": description, "permissions": permissions}
    return str((await http.json("POST", "/api/v2/authorizations", body=body))["token"])


def _may(authorization: dict[str, Any]) -> set[tuple[str, str]]:
    """What it is for, as pairs of an action and the id of a bucket; what is for all buckets has no id."""
    permissions = authorization.get("permissions") or []
    return {(str(each["action"]), str(each["resource"].get("id", each["resource"]["type"]))) for each in permissions}


async def _authorizations(http: InfluxHttp, organization: str) -> list[dict[str, Any]]:
    found = await http.json("GET", "/api/v2/authorizations", parameters={"orgID": organization})
    return list(found.get("authorizations") or [])
