"""The command line: one module a command; the only room that knows click and rich.

main, options                                  finds the commands; their common options
read, run, init, check, demo, bench, report    one command each
enrol                                          makes the device one of a hub's fleet
archive, events, hub, models, web              groups of commands
progress_report                                progress display
"""
