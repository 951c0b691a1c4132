"""Keeps events, snapshots, labels and lists on disk.

event_store, schema                      events and outboxes; their tables
store_file, database                     the SQLite file: opened, locked, checked; failing disks
sequence                                 sequence numbers
salvage, sqlite_pages                    replaces a damaged file; reads rows from its pages
open_passes                              passes and clock from before a restart
outbox, backlog, resend                  unacknowledged events; while the store fails; again
privacy                                  what is kept of a plate
retention, purge                         redacts events and deletes old ones; deletes on demand
history, search, search_query            reads and searches events, and writes them as a file
snapshots, snapshot_files                images of events, their files, and plates in them
side_file                                files beside the store; that of labels
labels, label_export, label_upload       labels of users, what to label next; data set; for a hub
self_labels                              labels that sure readings give to far crops
report_card, report_light, unpublished   how well a camera reads; counts of unpublished passes
sessions                                 vehicles inside, and their number
list_file, list_csv                      the list file with undo; its rows
audit_log                                who changed what, with the values before and after
"""
