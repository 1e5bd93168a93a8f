"""`edgeproof prove`: the proof of a file that somebody else has trained or exported."""
