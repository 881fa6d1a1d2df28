"""Schemas of records whose value is Avro, each without a wrapper: the header `schema` says which one it is of."""
