"""The web UI and the JSON API: HTTP only.

server                              the server, and its TLS certificate
guard, access, credentials          middleware, login sessions, users and tokens
people_pages                        users, tokens, sessions, audit log
throttle, login_pages               limits of login attempts, login and logout
routes, site, error_pages           URL paths and their scopes; state and templates; errors
live, streams                       newest frames and events, their streams
setup_pages                         first steps: cameras, expected countries, broker
camera_pages                        the page "Live"; image quality and drawing of a camera
event_pages, pass_rows              search, events and their images; rows of passes
review_pages, model_pages           labels; how well a camera reads; bundles
list_pages, inside_pages            the list file; the vehicles inside
json_api                            the same data for programs
"""
