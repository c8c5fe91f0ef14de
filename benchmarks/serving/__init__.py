"""The service as clients meet it, beside a bare server and its peers, each on one core, all in one run.

`python -m benchmarks.serving [speed swap overload bodies slow start] [--peers-python PATH] [--draft]`

speed.py       rate, latency and processor time of one window, beside the peers and beside what it costs in process
swap.py        the alias moves under load: when the new version answers, and what a client sees meanwhile
overload.py    three times as many requests as can be answered
bodies.py      bodies of 50 and 200 MB
slow.py        clients that never finish their request
starting.py    from the start of the process to the first answer

ours.py        a registry with versions of the measured model, and the window that is asked
contenders.py  how each server is started, and what it is asked
running.py     a server as a process on the first core: its address, processor time and memory
load.py        wrk on the second core
clients.py     clients that look at every answer: as fast as answers come, or to a timetable
"""
