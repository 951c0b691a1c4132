"""The web UI and the JSON API: HTTP only.

server, connections, certificate    the server's thread, socket limits, TLS
guard, access, credentials          middleware, login sessions, users and tokens
permissions, people_pages           the scopes that a request needs; users, tokens, audit log
throttle, login_pages               limits of login attempts, login and logout
routes, site, error_pages           URL paths, shared state and templates, error responses
live, streams, live_pages           newest frames and events, their streams, the page "Live"
setup_pages                         first steps: cameras, expected countries, broker
camera_pages                        image quality and drawing of a camera
event_pages, pass_rows, review_pages  search, events and their images; rows of passes; labels
report_pages                        how well a camera reads
list_pages, inside_pages            the list file; the vehicles inside
json_api, list_api                  the same data for programs
"""
