"""The observation log and the ledger: every row that was accepted, every forecast that was issued, how it fared.

records.py    what is kept, as values
interface.py  what every log offers
"""
