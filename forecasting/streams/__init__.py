"""Streams: one new row advances the state by one cell step, scores the last forecast, widens or narrows the intervals.

pushes.py      what is pushed, and what comes of it
keeper.py      takes pushes, corrections and questions; answers once the log has them
turn.py        a batch of pushes, from what came to what is answered, with one commit between
accepting.py   which rows of which pushes are taken, in what order; gridding.py at which steps
playing.py     the rows taken, wave after wave; advancing.py one wave, a pure function
cautioning.py  what the reader of a forecast should know
recording.py   from what was played to what is written, and back
beginning.py   how a stream begins; importing.py history from before its first push
pool.py        streams held in memory; rebuilding.py the same made again from the log
migrating.py   from an older version to a newer one, while the older one answers
correcting.py  a row corrected, and all that follows; replaying.py its rows played again
streamed.py    a model as streams use it
tracking.py    scores, intervals and drift of a stream; kernel.py the same compiled
scoring.py     how forecasts fared, as values; expecting.py what tracking takes of a calibration
"""
