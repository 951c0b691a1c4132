"""Pure code without I/O, shared by the device and the training.

records                  what the stages pass on, from the frame to the event
close_up                 what a main stream shows of a frame
geometry, view           boxes and the letterbox; region of interest, masks and direction
text                     charset, CTC positions and candidate texts
fusion, reading          many reads become one; the reading with country syntax
formats, format_tables   plate syntax of countries, and its tables
taught_syntax            plate syntax that labels have taught a reader
lists, plate_pattern     lists of known plates; patterns of plates
ids, clock, wording      UUIDs that sort by time; steady time; words of messages
event_csv, option_types  events as CSV rows; checks of command-line values
health                   health of the device
plate_quality            how well a camera sees a plate
drawing                  plates drawn into images; JPEG
"""
