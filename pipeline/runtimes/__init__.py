"""Exported files on real runtimes: an environment for each, this processor and emulated ones."""
