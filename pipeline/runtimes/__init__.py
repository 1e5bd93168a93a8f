"""Runs exported files on real runtimes, on this processor and on emulated ones."""
