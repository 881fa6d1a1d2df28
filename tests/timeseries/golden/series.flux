// The tags of every series: a row for each.
//
// https://docs.influxdata.com/influxdb/v2/query-data/optimize-queries/: last() is pushed down, so that of each series
// one point is read; https://docs.influxdata.com/flux/v0/stdlib/universe/group/: without columns, all rows become one
// table, which limit() then bounds.
from(bucket: _bucket)
    |> range(start: _start, stop: _stop)
    |> filter(fn: (r) => r._measurement == "occupancy" and r._field == "devices")
    |> last()
    |> keep(columns: ["kind", "zone"])
    |> group()
    |> limit(n: _most)
