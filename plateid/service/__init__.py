"""What keeps the process running and observable.

supervisor                       detects threads that died or hang
systemd                          sd_notify messages, and the unit as systemctl sees it
health_report, logs              the health report, log lines
metrics                          Prometheus metrics, and the server for them
libc, gps                        clock synchronisation, heap trimming; position
"""
