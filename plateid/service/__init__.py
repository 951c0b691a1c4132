"""What keeps the process running and observable.

supervisor, watchdog             detect threads that died or hang
systemd                          sd_notify messages, and the unit as systemctl sees it
health_report, metrics, logs     the health report, Prometheus metrics, log lines
clock, memory, gps               clock synchronisation, heap trimming, position
"""
