"""`make team`: the servers of a small team on one host, without containers.

PostgreSQL, S3 by SeaweedFS, MLflow, and a scheduler of Dask, on loopback only. Other accounts of
the host reach the same ports, so each server asks for a password or a certificate, SeaweedFS
between its own parts too.
"""
