"""The live page: see it, search it, correct it.

server, certificate                 a thread beside the recognition, which never waits for it
guard, access                       who asks, from where, and what they may
site, pages                         what every page shares, and which is where
live, live_pages                    what is going on now, and its streams
camera_pages, aid, angle            one camera: how well it sees plates
event_pages, search, history        what was, a page at a time
files, api, snapshots               the same as files, for programs, as pictures
list_pages, list_file               lists, changed a row at a time
review_pages, labels, training      corrections, and what they are for
"""
