"""A campus that lives: people and their vehicles by a timetable, what their receivers make of it, and the truth.

All of it is a function of a seed: a day of one device depends on nobody else, and any process makes the same of it.
Inside, places are metres on a plane; what comes out are degrees of WGS 84, longitude before latitude.
"""
