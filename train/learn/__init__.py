"""Teaches a bundle the plates of your country, from a few labelled images: `train learn`.

- learning: the command from start to end; learning_run: its options
- gather: labels of folders, ZIP files and devices
- label_checks: faults of the labels, and suspicious ones
- vehicle_folds: sides that have no vehicle in common
- own_formats: layouts of rendered plates with the formats of your plates
- rehearsal: rendered plates to train with, and others that measure what is forgotten
- street_frames: the same for the detector, as frames of a street
- features: what the convolutions give, computed once
- material: the crops to train the reader on; fine_tuning: its training
- reads: what a network reads, and how probable it finds the labels
- reader_teaching, detector_teaching: the trainings of a network, and what each candidate gains
- candidates: networks on the line between old and new weights
- proof: the paired test, and the gate
- taught: what teaching a network gives; results: its tables and images
- new_bundle, install: the bundle, and its way to devices
- study: how much is learnt from few labels of a country
- learning_report: `report.html` and `report.json`
"""
