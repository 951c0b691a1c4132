"""The hub: collects the events of a fleet in PostgreSQL (extra `hub`).

database        the database: opened, created and migrated; schema/ has its tables
"""
