"""The hub: collects the events of a fleet in PostgreSQL (extra `hub`).

database        the database: opened, created and migrated; schema/ has its tables
messages        checks messages: events, and foreign reads
mqtt_source     messages of MQTT 5 by shared subscriptions
nats_source     messages of a NATS cluster by a durable consumer
recording       stores a batch in one transaction
gaps            missing sequence numbers, which the hub asks for again
ingest          one process: takes, stores, acknowledges
history_import  stores the events of an archive of recordings
simulation, simulated_device  a fleet that publishes events; what the hub has of them
broker_rules    the configuration of mosquitto and NATS
labels          labels of all devices, and plates that devices offer for review
history         searches all events, as the store of a device does
desired         the desired state of each device: its list, plates to delete
enrolment       one-time codes, client certificates, tokens, revocation
rollouts        bundles in waves; a wave that fails goes back
purge           deletion of a plate everywhere, retention
site            the site of the web UI, narrowed to the sites of a user
pages, rollout_pages  pages that only a hub has; what devices ask for and post; URL paths
server          the process of the web UI, which also sends desired states and alerts
"""
