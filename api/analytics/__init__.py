"""Forecasts, visits and flows over REST: results that `analytics` has put into the time-series store."""
