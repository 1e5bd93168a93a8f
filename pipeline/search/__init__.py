"""The loop above the line: what to change, and the questions that many trainings answer. Nothing below imports it."""
