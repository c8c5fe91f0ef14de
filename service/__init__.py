"""The door: HTTP, concurrency, time, the device."""
