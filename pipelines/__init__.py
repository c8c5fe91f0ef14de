"""The calendar: runs that end, and the command line."""
