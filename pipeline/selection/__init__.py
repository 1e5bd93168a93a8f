"""The loop above the line: what is wrong with a training, in words, and what to change."""
