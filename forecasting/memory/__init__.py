"""What a forecaster remembers (`remembering` says in which numbers), measured on rows.

measuring.py  all of it, over windows of validation rows
reach.py      derivatives of the forecast by lag
traces.py     outputs and gates of a cell over many rows
explaining.py of one forecast: how far back each row moved it
shares.py     the shares of rows in a point
told.py       what members were told of a window, and what their layers did
pictures.py   reach and gates for people
"""

from forecasting.memory.measuring import measure_memory

__all__ = ["measure_memory"]
