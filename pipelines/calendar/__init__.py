"""The calendar: when projects are retrained, and that of each one only one is, on whatever machine."""
