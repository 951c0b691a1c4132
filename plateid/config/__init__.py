"""The configuration file `plateid.toml`: every key has a description, unknown keys are errors.

section         what all tables have in common; paths relative to the file, credentials
cameras         [[camera]] and [events]
models          [models], shipped and installed bundles
outputs         [mqtt], [homeassistant], [lists], [[webhook]], [logfile]
service         [metrics], [web], [gps]
storage         [store], [retention], [privacy], [snapshots]
hub             the file of the hub, hub.toml
root            the whole file, the rules between its tables, changes without a restart
load, problems  reads the file and the plate syntax it expects; describes what is wrong
environment     values of environment variables, which have priority over the file
edit            writes and changes the file; comments stay
"""
