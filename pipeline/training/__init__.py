"""How a network is trained: what it is fed, how it is compiled, fitted, resumed and kept."""
