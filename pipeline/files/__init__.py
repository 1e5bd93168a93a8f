"""Files: those passed between stages, how each is written whole or not at all, and what is remembered beside them."""
