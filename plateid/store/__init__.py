"""Keeps events, snapshots, labels and lists on disk.

event_store, schema                      events and outboxes; their tables
store_file, database, disk               the SQLite file: opened, locked, checked; failing disks
sequence                                 sequence numbers
salvage, sqlite_pages                    replaces a damaged file; reads rows from its pages
open_passes, boot_clock                  passes from before a restart; the clock since boot
outbox, backlog                          unacknowledged events; events while the store fails
chore, storage_health                    periodic work in steps; storage in the health report
privacy, redaction                       what is kept of a plate; applied to stored events
retention, purge                         deletes old events; deletes events on demand
history, search, search_query            reads and searches events, and writes them as a file
snapshots, snapshot_files, event_images  images of events, their files, and plates in them
blur                                     removes from images what they must not show
labels, label_order                      labels of users; which vehicles to label next
label_file, label_export, corrections    the file of labels; their data set; what they correct
self_labels                              labels that sure readings give to far crops
report_card, report_light, unpublished   how well a camera reads; counts of unpublished passes
sessions, occupancy                      vehicles inside; their number, published
side_file                                SQLite files beside the store
list_file, list_csv                      the list file with undo; its rows
audit_log                                who changed what, with the values before and after
"""
