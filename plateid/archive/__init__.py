"""Reads archives of recordings: many files on many cores, with the same events as one run.

probe         finds video files: start, duration, key frames, and what a file name says
remote        the same at URLs; copies what a worker reads
plan          joins the files of a camera to timelines, and cuts these into chunks
chunk_reader  reads one chunk: the work of a worker
quiet         `--fast`: decodes only key frames while nothing moves
workers       a pool of processes that outlives killed workers
ray_pool      the same on a Ray cluster
ledger        what is done, in one SQLite file
merge         joins the passes of all chunks to those of one run
run           a whole run, which any interruption resumes
output        events.parquet, crops and labels
report        the report as an HTML page
search        finds plates in the output
"""
