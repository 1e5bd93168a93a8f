"""How often the diagnosis finds a fault that was made on purpose, and raises no false alarm."""
