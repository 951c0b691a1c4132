"""Events: kept on disk, and brought to whoever wants them.

store, layout                the history and the outbox: one SQLite file, and its tables
backlog, overflow, lock      while it fails; when too much waits; one process a store
retention, privacy, purge    how long it is kept, what of a plate, and gone on demand
unfinished                   passes of before a restart

mqtt, connection, delivery   the publisher: its thread, one connection, what goes out over it
retained, credentials        what the broker keeps; passwords and certificates
box, homeassistant           topics and entities
announcer                    when Home Assistant is told of them

sinks, queues, courier       whom else to tell: all of them, what waits, one thread for each
webhook, logfile             the two kinds

snapshots, album             the best shot of a pass: what it may show, and its file
lists                        the file of lists, read again when it changes
health, gps                  how the box is, and where
wake                         how a thread that waits for the network is woken
"""
