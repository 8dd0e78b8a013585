"""Numbers from signals and arrival times: pure functions, NaN where undefined."""
