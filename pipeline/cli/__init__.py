"""The command `edgeproof`: signatures and help texts. The work is done by the modules below.

Every command imports what it needs when it runs, so that `edgeproof --help` does not wait for
TensorFlow, MLflow, DVC or Optuna.
"""
