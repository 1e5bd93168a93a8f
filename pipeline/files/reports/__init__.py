"""What a stage reports for later stages and for people: one model per report, each in its file."""
