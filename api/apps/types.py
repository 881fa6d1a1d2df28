"""What is answered about applications, as the OpenAPI document has it."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from api.http.instants import Rfc3339

_AT = "2026-03-02T10:15:00Z"
AppField = Annotated[str, Field(description="Name of the application.", examples=["update-schuman"])]
Shares = Annotated[
    dict[str, int],
    Field(description="Percent of people by version; they add up to 100.", examples=[{"1": 80, "2": 20}]),
]


@dataclass(frozen=True, slots=True)
class AppInstance:
    """One running container or pod."""

    name: Annotated[str, Field(description="What the platform calls it.", examples=["update-schuman-v2-1"])]
    address: Annotated[
        str | None,
        Field(
            description="Where HAProxy reaches it; null for whoever is no administrator.", examples=["10.0.0.4:8080"]
        ),
    ]
    healthy: Annotated[bool, Field(description="Whether the platform says that it is.", examples=[True])]
    since: Annotated[Rfc3339, Field(description="When it was started, UTC.", examples=[_AT])]


@dataclass(frozen=True, slots=True)
class AppFigures:
    """What HAProxy has counted of a version since it was started; of several, all together."""

    answers: Annotated[int, Field(description="Answers.", examples=[18_200])]
    errors: Annotated[int, Field(description="Of these, 5xx.", examples=[3])]
    p95_ms: Annotated[
        int | None,
        Field(
            description="95 in 100 answers took at most so many milliseconds: 5, 10, 25, 50, 100, 250, 500, 1000 or "
            "2500; null where that is not known, or more.",
            examples=[50],
        ),
    ]


@dataclass(frozen=True, slots=True)
class AppVersion:
    """One version."""

    version: Annotated[str, Field(description="Its name.", examples=["2"])]
    share: Annotated[int, Field(description="Percent of people who get it.", examples=[20])]
    healthy: Annotated[bool, Field(description="Whether an instance of it is healthy.", examples=[True])]
    instances: Annotated[list[AppInstance], Field(description="What runs.")]
    figures: Annotated[AppFigures | None, Field(description="What was counted; null where nothing was of late.")]


@dataclass(frozen=True, slots=True)
class AppCanary:
    """A version on its way to all people, step by step, or back to nobody."""

    app: AppField
    to: Annotated[str, Field(description="The new version.", examples=["2"])]
    state: Annotated[
        Literal["running", "done", "back", "ended"],
        Field(
            description="running; done: all have the new version; back: the shares are those from before it; ended: "
            "somebody has changed the rule, which stays as they wanted it.",
            examples=["running"],
        ),
    ]
    why: Annotated[
        str, Field(description="What it waits for, or why it is where it is.", examples=["at 5 %: 12 of 60 s"])
    ]
    steps: Annotated[list[int], Field(description="Percent of each step.", examples=[[5, 20, 50, 100]])]
    step: Annotated[int, Field(description="Which step it is at, from 0.", examples=[0])]
    hold_seconds: Annotated[int, Field(description="How long a step takes at least.", examples=[60])]
    hold_requests: Annotated[int, Field(description="Answers of the new version in a step, at least.", examples=[200])]
    slower_by: Annotated[int, Field(description="Percentage points of slow answers that are let pass.", examples=[5])]
    measure: Annotated[
        str | None, Field(description="Path of a measure of the application's own.", examples=["/measure"])
    ]
    before: Annotated[dict[str, int], Field(description="Shares to which it goes back.", examples=[{"1": 100, "2": 0}])]
    started_at: Annotated[Rfc3339, Field(description="When it began, UTC.", examples=[_AT])]
    step_at: Annotated[
        Rfc3339 | None, Field(description="When the step began, UTC; null before the first look.", examples=[_AT])
    ]
    by: Annotated[str, Field(description="Id of the API key that began it.", examples=["5f0c3a1be2d94c77"])]


@dataclass(frozen=True, slots=True)
class App:
    """An application, its versions, and how its canary does."""

    app: AppField
    number: Annotated[int | None, Field(description="Of its rule; null where it has none.", examples=[3])]
    versions: Annotated[list[AppVersion], Field(description="Those that run or have a share, by name.")]
    canary: Annotated[AppCanary | None, Field(description="The one that runs, or the last; null where none was.")]
    seen_at: Annotated[
        Rfc3339 | None,
        Field(description="When the platform was asked what runs, UTC; null: not of late.", examples=[_AT]),
    ]


@dataclass(frozen=True, slots=True)
class Apps:
    """All applications that run or have a rule."""

    apps: Annotated[list[App], Field(description="By name.")]
    seen_at: Annotated[
        Rfc3339 | None,
        Field(description="When the platform was asked what runs, UTC; null: not of late.", examples=[_AT]),
    ]


@dataclass(frozen=True, slots=True)
class Rule:
    """Who gets which version of an application."""

    app: AppField
    number: Annotated[int, Field(description="One higher with each change; the ETag is this number.", examples=[3])]
    shares: Shares
    users: Annotated[
        dict[str, str] | None,
        Field(
            description="Version by user of MQTT or of an API key; null for whoever is no administrator.",
            examples=[{"ann": "2"}],
        ),
    ]
    roles: Annotated[dict[str, str], Field(description="Version by role of a user.", examples=[{"gateway": "2"}])]
    headers: Annotated[
        dict[str, dict[str, str]],
        Field(
            description="Version by the value of a header of the request, X-Campus-Version or X-Campus-Group.",
            examples=[{"X-Campus-Group": {"testers": "2"}}],
        ),
    ]
    move: Annotated[
        bool,
        Field(
            description="Of `broker`: connections to a version that nobody gets are ended, a tenth each second.",
            examples=[False],
        ),
    ]
    notes: Annotated[list[str], Field(description="What else is to be known of it, in sentences.", examples=[[]])]


@dataclass(frozen=True, slots=True)
class RuleChange:
    """One change of a rule."""

    at: Annotated[Rfc3339, Field(description="When, UTC.", examples=[_AT])]
    by: Annotated[
        str, Field(description="Id of the API key, or `controller` or `canary`.", examples=["5f0c3a1be2d94c77"])
    ]
    why: Annotated[str, Field(description="Why, in the words of who did it.", examples=["the new texts, for some"])]
    before: Annotated[Rule | None, Field(description="The rule that was replaced; null for the first one.")]
    after: Annotated[Rule | None, Field(description="The rule that held from then on; null where it was forgotten.")]


@dataclass(frozen=True, slots=True)
class RuleChanges:
    """The changes of a rule that are kept."""

    app: AppField
    changes: Annotated[
        list[RuleChange], Field(description="The newest first, of the 100 newest changes of all applications.")
    ]
