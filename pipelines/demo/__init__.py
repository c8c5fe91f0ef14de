"""The demonstration: a year of hourly weather at three airports, with its gaps, holes and one impossible storm."""
