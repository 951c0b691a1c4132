"""Sends events to MQTT, Home Assistant, webhooks and log files.

mqtt, mqtt_sender                        the thread of the MQTT publisher; what it sends, in order
mqtt_connection, mqtt_credentials        one connection to the broker; its password and certificates
resend                                   requests of a hub for events again
self_pipe                                ends the wait of a thread
mqtt_topics                              the topics of a device; its retained messages
discovery, homeassistant                 when and what Home Assistant learns; old topics
webhook, logfile                         webhooks and log files
output_thread                            delivers the outbox of a target
"""
