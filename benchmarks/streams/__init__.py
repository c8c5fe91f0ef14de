"""Streams as clients push to them: the service on one core, beside a bare server that reads the same requests.

`python -m benchmarks.streams [speed bulk memory life] [--peers-python PATH] [--draft]`

speed.py       one row a push: rate, latency and processor time: in memory, with keys, durable, beside mlflow
bulk.py        a row to each of many streams a request, in Arrow and JSON
memory.py      what 100,000 live streams hold
life.py        what a row costs by how long its stream has lived

rows.py        rows that are new to their streams, as requests
configured.py  the service in its configurations, the bare server, a PostgreSQL
many.py        clients that push to many streams at once
pushing.lua    what has wrk send each request of a file once

What a server is, the load of wrk and the peers are those of `benchmarks.serving`.
"""
