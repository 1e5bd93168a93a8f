"""Results for people: the statistics behind a verdict, pictures, tables."""
