"""Forecasts of occupancy that have to earn their place: shown only where they beat what anybody could guess.

Everything in here but `jobs` is a function of what it is given: it asks no store and no clock.
"""
