"""Streams: one new row advances the state by one cell step, scores the last forecast, widens or narrows the intervals.

pushes.py  what is pushed and what comes of it
"""
