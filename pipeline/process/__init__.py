"""How every process of ours runs and ends: its one sentence on a mistake, its memory, its imports."""
