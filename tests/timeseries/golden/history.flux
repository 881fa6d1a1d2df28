// The points of one series in a range. The names with _ are options that come with the request, with their types.
//
// https://docs.influxdata.com/flux/v0/stdlib/universe/range/: results include `start` and exclude `stop`.
// https://docs.influxdata.com/influxdb/v2/query-data/optimize-queries/: range and filter are pushed down to the storage
// engine, as long as what they compare with is static; so only this series is read.
// https://docs.influxdata.com/flux/v0/stdlib/universe/keep/: without the columns of tags and of the range, what is left
// is one table.
from(bucket: _bucket)
    |> range(start: _start, stop: _stop)
    |> filter(fn: (r) => r._measurement == "occupancy" and r._field == "devices"
        and r.zone == _zone and r.kind == _kind)
    |> keep(columns: ["_time", "_value"])
