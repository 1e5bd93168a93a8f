"""What `make` measures on a machine and a reader is shown: `make seeds`, `make compare`."""
