"""Monitors the model in use: what was observed, how it compares with the test, and a report."""
