"""Teaches a bundle the plates of your country, from a few labelled images: `train learn`.

- learning: the command from start to end; learning_run: its options
- gather: labels of folders, ZIP files and devices
- label_checks: faults of the labels, and suspicious ones
- vehicle_folds: sides that have no vehicle in common
- own_formats: layouts of rendered plates with the formats of your plates
- rehearsal: rendered plates to train with, and others that measure what is forgotten
- features: what the convolutions give, computed once
- material: the crops to train on
- fine_tuning: the training
- lesson: the trainings of a command
- examination: what each candidate gains and forgets
- reads: what a network reads, and how probable it finds the labels
- candidates: networks on the line between old and new weights
- proof: the paired test, and the gate
- new_bundle, install: the bundle, and its way to devices
- learning_report: `report.html` and `report.json`
"""
