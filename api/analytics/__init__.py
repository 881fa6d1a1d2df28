"""Forecasts, visits and flows over REST: results that `analytics` has put into the time-series store."""

from api.analytics.dependencies import AnalyticsResources
from api.analytics.newest import Newest, NewestAnswers

__all__ = ["AnalyticsResources", "Newest", "NewestAnswers"]
