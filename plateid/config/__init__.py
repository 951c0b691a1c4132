"""The configuration file `plateid.toml`: every key has a description, unknown keys are errors.

section, paths  what all tables have in common; paths relative to the file, credentials
cameras         [[camera]] and [events]
models          [models], shipped and installed bundles
outputs         [mqtt], [homeassistant], [lists], [[webhook]], [logfile]
service         [metrics], [web], [gps]
storage         [store], [retention], [privacy], [snapshots]
root            the whole file, and the rules between its tables
load, problems  reads the file; describes what is wrong in it
reload          which changes take effect without a restart
view_editor     changes a camera's region, masks and line in the file
plate_formats   the plate syntax that a configuration expects
"""
