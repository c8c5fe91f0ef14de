"""Forecasters that `benchmarks.peers` starts, each in a process of its own.

`python -m benchmarks.contenders.NAME FOLDER`; what is in the folder stands in `exchange`. The peers run in another
environment: their modules and `exchange` import nothing of Gatecast.
"""
