"""How every process runs: error messages and exit status, memory, slow imports."""
