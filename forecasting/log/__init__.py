"""The observation log and the ledger: every row that was accepted, every forecast that was issued, how it fared.

records.py      what is kept, as values
interface.py    what every log offers
opening.py      from an address to a log
memory.py       the log in this process
sql.py          the log in a database: connecting.py reaches it; tables.py, statements.py and queries.py are its words,
                texts.py writes them; writing.py, reading.py, searching.py, pruning.py and versions.py use them
migrating.py    tables made and brought up to date, by the steps in migrations/
"""
