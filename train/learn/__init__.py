"""Teaches a bundle the plates of your country, from a few labelled images: `train learn`.

- learning: the command from start to end
- gather: its options, and labels of folders, ZIP files and devices
- label_checks: faults of the labels, and suspicious ones
- teaching: trains on folds without a common vehicle, chooses a candidate, and the gate
- proof: the paired test
- reader_lesson, detector_lesson: what the networks learn
- rehearsal: rendered plates and streets to train with, and others that measure what is forgotten
- inputs: labelled crops as inputs of the reader, and what is read in them
- fine_tuning: the training of the reader
- new_bundle, install: the bundle, and its way to devices
- study: how much is learnt from few labels of a country
- learning_report: `report.html` and `report.json`
"""
