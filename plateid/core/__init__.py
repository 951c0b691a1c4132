"""Pure code without I/O, shared by the device and the training.

records                        what the stages pass on, from the frame to the event
geometry, view                 boxes and the letterbox; region of interest, masks and direction
text                           charset, CTC positions and candidate texts
fusion, reading                many reads become one; the reading with country syntax
formats, format_tables         plate syntax of countries, and its tables
lists, list_csv                lists of known plates, and their CSV files
ids, wording                   UUIDs that sort by time; words of messages
outbox_entry, event_csv        entries of the outbox; events as CSV rows
health                         health of the device
blur, drawing, jpeg            what images must not show; plates drawn into images; JPEG
plate_quality                  how well a camera sees plates
"""
