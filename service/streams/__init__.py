"""The HTTP of streams, on top of `forecasting.streams`: bytes in, bytes out, and what waits for the log between them.

routes.py     which path does what
asked.py      what a request is for; hot.py pushes, as the door calls them
requests.py   from JSON to rows; arrow.py from a table, whose bytes framing.py reads
queue.py      what is pushed at the same time is taken together
answers.py    from what came of it to JSON, by the forms of forms.py; tabular.py to a table
ledger.py     forecasts beside what came; looking.py a stream as it stands
store.py      the log and the keeper; upkeep.py what goes on behind the pushes
schemas.py    what goes in and out; published.py what is said of it
"""
