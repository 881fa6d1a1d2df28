"""Positions, windows and results as Parquet files, for whoever asks more of them than the API does.

Nothing is imported here: who reads the settings of the lake needs no pyarrow for it.
"""
