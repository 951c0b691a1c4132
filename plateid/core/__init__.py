"""Records, and the mathematics of the pipeline.

records                  what the stages hand to each other, from the frame to the event
motion, tracking         is it worth looking; which boxes are one plate
text, fusion, reading    slots of a read, many reads together, texts weighed by country
formats, tables          the syntax of countries, and how it is written
passes, standing         one vehicle: what is known of it, and whether it moves
parking, overlays        who may still be there; text that the camera writes
view, geometry           what counts in a picture, which way is in; boxes and the letterbox
lists                    the entry that a plate fits
ids, cells               identifiers that sort by time; rows of CSV
blur, drawing            what pictures must not show, and what people want to see
"""
