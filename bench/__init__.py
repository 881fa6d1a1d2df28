"""Benchmarks: each compares with its peer in the same run, and prints the ratio, the spread and the machine."""
