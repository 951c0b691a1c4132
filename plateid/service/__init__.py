"""What keeps the process honest.

supervisor, watchdog   threads that die or hang are noticed, and the service manager ends them
notify, unit           what that is told, and the service as it sees it
clock, memory          is the clock set; what a burst of work leaves is given back
metrics, logs          for Prometheus, and for people
"""
