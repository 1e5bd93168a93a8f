"""Files that stages exchange, atomic writes, and caches beside them."""
