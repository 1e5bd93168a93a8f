"""The model in use, against the test: what was observed, how it compares, and the page that says so."""
