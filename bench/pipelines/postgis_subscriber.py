"""The subscriber that lets PostGIS fence: a batch is one INSERT, whose WHERE holds positions against the outline.

python -m bench.pipelines.postgis_subscriber PORT SOCKET CAMPUS

PORT is that of MQTT, SOCKET the folder of PostgreSQL's socket, CAMPUS a campus file. Otherwise it is as
`bench.pipelines.subscriber`: a persistent session at QoS 1, batches that are tried again for ever, and what it has
taken and not yet written is lost when it is killed.
"""

import json
import sys
import time
from pathlib import Path

from bench.pipelines.psql import Psql, quoted
from bench.pipelines.subscriber import AGAIN_SECONDS, outline_of, run

TABLES = """
CREATE EXTENSION IF NOT EXISTS postgis;
CREATE TABLE IF NOT EXISTS positions (device text, at bigint, topic text, place geometry(Point, 4326), feature jsonb,
                                      PRIMARY KEY (device, at));
CREATE TABLE IF NOT EXISTS campus AS
    SELECT ST_Subdivide(ST_SetSRID(ST_GeomFromGeoJSON(%s), 4326)) AS outline;
CREATE INDEX IF NOT EXISTS campus_outline ON campus USING gist (outline);
"""
INSERT = """
INSERT INTO positions
SELECT DISTINCT ON (device, at) device, at, topic, place, feature
FROM (SELECT message -> 'properties' ->> 'device_id' AS device,
             (message -> 'properties' ->> 'timestamp')::bigint AS at,
             message ->> 'topic' AS topic,
             ST_SetSRID(ST_MakePoint((message #>> '{geometry,coordinates,0}')::float,
                                     (message #>> '{geometry,coordinates,1}')::float), 4326) AS place,
             message AS feature
      FROM jsonb_array_elements(%s) AS message) AS messages
JOIN campus ON ST_Intersects(outline, place)
ON CONFLICT DO NOTHING;
"""


def main() -> None:
    """Run until it is killed."""
    port, socket, campus = sys.argv[1:]
    psql = Psql(Path(socket))

    def until_done(statements: str) -> None:
        while True:
            try:
                psql.ask(statements)
            except OSError:
                time.sleep(AGAIN_SECONDS)
            else:
                return

    until_done(TABLES % quoted(json.dumps(outline_of(campus))))
    run(
        int(port),
        lambda topic, feature: {"topic": topic, **feature},
        lambda batch: until_done(INSERT % quoted(json.dumps(batch))),
    )


if __name__ == "__main__":
    main()
