"""Diagnosis of a training in words, by pure rules over its curves, its layers and its data."""
