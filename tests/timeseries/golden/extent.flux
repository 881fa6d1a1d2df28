// The first and the last point of one series: two rows at the most.
//
// https://docs.influxdata.com/influxdb/v2/query-data/optimize-queries/: filter |> first() and filter |> last() are
// pushed down, so that the points in between are not read.
// https://docs.influxdata.com/flux/v0/stdlib/universe/yield/: a query with several results needs a name for each.
from(bucket: _bucket)
    |> range(start: _start, stop: _stop)
    |> filter(fn: (r) => r._measurement == "occupancy" and r._field == "devices"
        and r.zone == _zone and r.kind == _kind)
    |> first()
    |> keep(columns: ["_time"])
    |> yield(name: "first")

from(bucket: _bucket)
    |> range(start: _start, stop: _stop)
    |> filter(fn: (r) => r._measurement == "occupancy" and r._field == "devices"
        and r.zone == _zone and r.kind == _kind)
    |> last()
    |> keep(columns: ["_time"])
    |> yield(name: "last")
