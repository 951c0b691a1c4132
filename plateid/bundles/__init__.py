"""Model bundles as files: packed, signed, downloaded, installed and rolled back.

archive              a bundle as one uncompressed tar file
signature            detached Ed25519 signatures
download             files from a web server, with a size limit
installed_bundles    the folder of installed bundles, with its `active` and `previous` symlinks
measure              backends compared with the CPU and timed on real images
backend_choice       the backend that runs a bundle, from cached measurements
install, trial       test, install, roll back and pack; the trial of a bundle on live traffic
fleet_bundle         the bundle that the hub wants
"""
