"""What the OpenAPI document says of positions."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from api.http.instants import Rfc3339
from api.http.kind_words import example, one_of
from api.http.kinds import Kind
from core.kinds import Kinds
from core.marks import Mark

PAGE_TYPE = "application/geo+json"


@dataclass(frozen=True, slots=True)
class PositionPoint:
    """A GeoJSON Point."""

    type: Annotated[Literal["Point"], Field(description="GeoJSON's name for it.", examples=["Point"])]
    coordinates: Annotated[
        list[float],
        Field(
            description="Longitude and latitude in degrees of WGS 84, and the altitude in metres if it was given.",
            examples=[[-8.5701, 52.6741]],
        ),
    ]


@dataclass(frozen=True, slots=True)
class PositionLink:
    """A link to another page."""

    rel: Annotated[Literal["next"], Field(description="What is there: the next page.", examples=["next"])]
    href: Annotated[
        str, Field(description="Its address, on this server.", examples=["/v1/positions?zone=kemmy&cursor=WzE1N"])
    ]
    type: Annotated[str, Field(description="Its media type.", examples=[PAGE_TYPE])]
    method: Annotated[
        Literal["GET", "POST"],
        Field(description="How to ask: with POST, send the same body again.", examples=["GET"]),
    ]


def position_collection(kinds: Kinds) -> type[Any]:
    """The type of a page of positions of these kinds."""

    @dataclass(frozen=True, slots=True)
    class PositionProperties:
        """What is known of a position. What the device did not tell is left out."""

        kind: Annotated[Kind, Field(description=f"Of {one_of(kinds)}.", examples=[example(kinds)])]
        device: Annotated[
            str, Field(description="Keyed hash of the device's id.", examples=["9f2c1e0b7a4d4c6e8b1f0a2d3c4e5f60"])
        ]
        observed_at: Annotated[
            Rfc3339,
            Field(description="When the device was there, RFC 3339, UTC.", examples=["2019-02-18T08:58:05.000Z"]),
        ]
        received_at: Annotated[
            Rfc3339, Field(description="When it arrived, RFC 3339, UTC.", examples=["2019-02-18T08:58:06.120Z"])
        ]
        zones: Annotated[
            list[str],
            Field(description="Ids of the zones that held it then, the campus first.", examples=[["campus", "kemmy"]]),
        ]
        cell: Annotated[str, Field(description="Geohash of the place, 8 characters.", examples=["gc3gsvp2"])]
        accuracy: Annotated[float | None, Field(description="Metres.", examples=[8.0])] = None
        speed: Annotated[float | None, Field(description="Metres a second.", examples=[5.5])] = None
        heading: Annotated[float | None, Field(description="Degrees clockwise from true north.", examples=[271.0])] = (
            None
        )
        fence: Annotated[
            str | None,
            Field(description="Version of the campus that the zones were found with.", examples=["970fd18c17ce"]),
        ] = None
        implausible: Annotated[
            bool | None,
            Field(description="True where the device can hardly have come so far so soon.", examples=[True]),
        ] = None
        marks: Annotated[
            list[Mark] | None,
            Field(
                description="What is hard to believe of what the device sent in that hour; told where `plausible` is "
                "asked for.",
                examples=[["replayed"]],
            ),
        ] = None
        inaccurate: Annotated[
            bool | None,
            Field(
                description="True where the position is too inaccurate to count in a zone: `zones` has the campus "
                "at most.",
                examples=[True],
            ),
        ] = None

    @dataclass(frozen=True, slots=True)
    class PositionFeature:
        """One position, as a GeoJSON Feature."""

        type: Annotated[Literal["Feature"], Field(description="GeoJSON's name for it.", examples=["Feature"])]
        id: Annotated[
            str,
            Field(description="Key of the position.", examples=["9f2c1e0b7a4d4c6e8b1f0a2d3c4e5f60-001550480285000"]),
        ]
        geometry: Annotated[PositionPoint, Field(description="Where.")]
        properties: Annotated[PositionProperties, Field(description="What is known of it.")]

    @dataclass(frozen=True, slots=True)
    class PositionCollection:
        """A page of positions, as a GeoJSON FeatureCollection with the members of OGC API Features."""

        type: Annotated[
            Literal["FeatureCollection"], Field(description="GeoJSON's name for it.", examples=["FeatureCollection"])
        ]
        features: Annotated[
            list[PositionFeature],
            Field(description="The newest first. Fewer than `limit`, even none, are not the end: a missing link is."),
        ]
        numberReturned: Annotated[int, Field(description="How many are on this page.", examples=[100])]  # noqa: N815 - OGC's name
        timeStamp: Annotated[  # noqa: N815 - OGC's name
            Rfc3339, Field(description="When the answer was made, RFC 3339, UTC.", examples=["2019-02-18T09:00:00Z"])
        ]
        links: Annotated[list[PositionLink], Field(description="The next page; empty on the last one.")]

    return PositionCollection


def cell_collection(kinds: Kinds) -> type[Any]:
    """The type of what is told of cells, of these kinds."""

    @dataclass(frozen=True, slots=True)
    class CellOutline:
        """A GeoJSON Polygon."""

        type: Annotated[Literal["Polygon"], Field(description="GeoJSON's name for it.", examples=["Polygon"])]
        coordinates: Annotated[
            list[list[list[float]]],
            Field(
                description="The outline of the cell: longitude and latitude in degrees of WGS 84.",
                examples=[
                    [[-8.571, 52.674], [-8.5696, 52.674], [-8.5696, 52.6753], [-8.571, 52.6753], [-8.571, 52.674]]
                ],
            ),
        ]

    @dataclass(frozen=True, slots=True)
    class CellProperties:
        """What is told of a cell."""

        kind: Annotated[Kind, Field(description=f"Of {one_of(kinds)}.", examples=[example(kinds)])]
        cell: Annotated[str, Field(description="Geohash of the cell, 7 characters.", examples=["gc3gsvp"])]
        start: Annotated[
            Rfc3339, Field(description="When the quarter of an hour began.", examples=["2019-02-18T08:45:00Z"])
        ]
        end: Annotated[Rfc3339, Field(description="When it was over.", examples=["2019-02-18T09:00:00Z"])]
        devices: Annotated[
            int,
            Field(description="About how many devices were there, in steps of `PRIVACY_WIDTH`.", examples=[130]),
        ]

    @dataclass(frozen=True, slots=True)
    class CellFeature:
        """One cell in one quarter of an hour, as a GeoJSON Feature."""

        type: Annotated[Literal["Feature"], Field(description="GeoJSON's name for it.", examples=["Feature"])]
        id: Annotated[
            str,
            Field(description="Cell, start and kind.", examples=[f"gc3gsvp-001550479500000-{example(kinds)}"]),
        ]
        geometry: Annotated[CellOutline, Field(description="Where.")]
        properties: Annotated[CellProperties, Field(description="What is told of it.")]

    @dataclass(frozen=True, slots=True)
    class CellCollection:
        """Cells in which many devices were, as a GeoJSON FeatureCollection."""

        type: Annotated[
            Literal["FeatureCollection"], Field(description="GeoJSON's name for it.", examples=["FeatureCollection"])
        ]
        features: Annotated[
            list[CellFeature],
            Field(description="The newest quarter first. Cells in which too few were for a step are left out."),
        ]
        numberReturned: Annotated[int, Field(description="How many there are.", examples=[12])]  # noqa: N815 - OGC's name
        timeStamp: Annotated[  # noqa: N815 - OGC's name
            Rfc3339, Field(description="When the answer was made, RFC 3339, UTC.", examples=["2019-02-18T09:00:00Z"])
        ]
        links: Annotated[list[PositionLink], Field(description="None: there are no pages.")]
        protected: Annotated[bool, Field(description="True: these are no positions.", examples=[True])]

    return CellCollection
