"""Finding better settings: diagnose and improve, sweep, cross-validate, and other analyses."""
