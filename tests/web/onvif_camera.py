"""An ONVIF camera that answers WS-Discovery probes and gives its address, on loopback."""

import base64
import hashlib
import re
import socket
import struct
import threading
import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

GROUP, PORT = "239.255.255.250", 3702
MATCH = """<?xml version="1.0" encoding="UTF-8"?>
<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"
 xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing"
 xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"
 xmlns:dn="http://www.onvif.org/ver10/network/wsdl">
<s:Header><a:RelatesTo>{message}</a:RelatesTo>
<a:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/ProbeMatches</a:Action></s:Header>
<s:Body><d:ProbeMatches><d:ProbeMatch>
<a:EndpointReference><a:Address>urn:uuid:{uuid}</a:Address></a:EndpointReference>
<d:Types>dn:NetworkVideoTransmitter</d:Types>
<d:Scopes>onvif://www.onvif.org/name/{name} onvif://www.onvif.org/hardware/DS-2CD2042</d:Scopes>
<d:XAddrs>{address}</d:XAddrs><d:MetadataVersion>1</d:MetadataVersion>
</d:ProbeMatch></d:ProbeMatches></s:Body></s:Envelope>"""


HOST, USER, PASSWORD = "127.0.0.1", "admin", "p@ss"
SOAP = """<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"
 xmlns:tt="http://www.onvif.org/ver10/schema"><s:Body>{}</s:Body></s:Envelope>"""
FAULT = "<s:Fault><s:Reason><s:Text>Sender not Authorized</s:Text></s:Reason></s:Fault>"
ANSWERS = {
    "GetServices": "<r><Service><Namespace>http://www.onvif.org/ver10/media/wsdl</Namespace>"
    "<XAddr>http://10.0.0.9/onvif/media</XAddr></Service></r>",
    "GetSystemDateAndTime": "<r><SystemDateAndTime><tt:UTCDateTime><tt:Time><tt:Hour>{now:%H}"
    "</tt:Hour><tt:Minute>{now:%M}</tt:Minute><tt:Second>{now:%S}</tt:Second></tt:Time><tt:Date>"
    "<tt:Year>{now:%Y}</tt:Year><tt:Month>{now:%m}</tt:Month><tt:Day>{now:%d}</tt:Day></tt:Date>"
    "</tt:UTCDateTime></SystemDateAndTime></r>",
    "GetProfiles": "<r>{profiles}</r>",
    "SetSynchronizationPoint": "<r/>",
    "GetStreamUri": "<r><MediaUri><tt:Uri>{stream}</tt:Uri></MediaUri></r>",
}
"""Bodies by request."""
OPEN = ("GetServices", "GetSystemDateAndTime")
"""Requests that need no login."""
PROFILE = """<Profiles token="{token}"><tt:VideoSourceConfiguration><tt:SourceToken>{lens}
</tt:SourceToken></tt:VideoSourceConfiguration><tt:VideoEncoderConfiguration><tt:Resolution>
<tt:Width>{width}</tt:Width><tt:Height>360</tt:Height></tt:Resolution></tt:VideoEncoderConfiguration>
</Profiles>"""
BOMB = """<!DOCTYPE a [<!ENTITY a "rtsp://10.0.0.9/"><!ENTITY b "&a;&a;">]>"""
MAX_SKEW_S = 5.0
"""Difference of clocks that the camera accepts, seconds."""


@dataclass(frozen=True)
class Behaviour:
    """What a camera has and does: its `profiles` have token, width and lens.

    `clock_s` is how far its clock is ahead. With `challenges`, it demands HTTP digest as well.
    With `hostile`, its answers have entities.
    """

    stream: str = "rtsp://10.0.0.9:554/live/TOKEN"
    name: str = "HIKVISION%20DS-2CD2042"
    profiles: tuple[tuple[str, int, str], ...] = (("sub", 640, "1"), ("main", 1920, "1"))
    clock_s: float = 0.0
    challenges: bool = False
    hostile: bool = False

    @property
    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.clock_s)

    def values(self, token: str) -> dict[str, object]:
        profiles = (PROFILE.format(token=t, width=w, lens=lens) for t, w, lens in self.profiles)
        stream = "&b;" if self.hostile else self.stream.replace("TOKEN", token)
        return {"now": self.now, "profiles": "".join(profiles), "stream": stream}


def _md5(*words: str) -> str:
    return hashlib.md5(":".join(words).encode()).hexdigest()  # noqa: S324 - as RFC 7616 has it


def _answers_challenge(header: str, path: str) -> bool:
    """Checks HTTP digest authentication (RFC 7616)."""
    got = {
        key: quoted or bare for key, quoted, bare in re.findall(r'(\w+)=(?:"(.*?)"|(\w+))', header)
    }
    if header.partition(" ")[0] != "Digest":
        return False
    secret = _md5(USER, "onvif", PASSWORD), "5ec", got["nc"], got["cnonce"], "auth"
    return got["response"] == _md5(*secret, _md5("POST", path))


def _is_authorized(request: str, now: datetime) -> bool:
    """Checks the password digest of WS-Security (UsernameToken Profile) and its time."""
    found = [re.search(f"<[^>]*{tag}[^>]*>([^<]*)<", request) for tag in ("Nonce", "Created")]
    nonce, created = (match[1] if match else "" for match in found)
    secret = base64.b64decode(nonce) + f"{created}{PASSWORD}".encode()
    digest = hashlib.sha1(secret).digest()  # noqa: S324 - as ONVIF demands
    if not created or abs((datetime.fromisoformat(created) - now).total_seconds()) > MAX_SKEW_S:
        return False
    return base64.b64encode(digest).decode() in request and f">{USER}<" in request


class _Service(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        request = self.rfile.read(int(self.headers["Content-Length"])).decode()
        behaviour, header = self.server.behaviour, self.headers.get("Authorization", "")
        if behaviour.challenges and not _answers_challenge(header, self.path):
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Digest realm="onvif", nonce="5ec", qop="auth"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        name = next((name for name in ANSWERS if f"{name}" in request), "")
        token = re.search("ProfileToken>([^<]*)<", request)
        self.server.asked.append((name, token and token[1]))
        allowed = name in OPEN or _is_authorized(request, behaviour.now)
        body = ANSWERS.get(name, FAULT) if allowed else FAULT
        body = body.format(**behaviour.values(token[1] if token else ""))
        answer = (BOMB * behaviour.hostile + SOAP.format(body)).encode()
        self.send_response(200 if body != FAULT else 400)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Prints nothing."""


class OnvifCamera:
    """Joins the multicast group on loopback and answers each probe until it is closed."""

    def __init__(self, **behaviour: Any) -> None:
        """Gives the address of its stream, which may be that of another network."""
        self._behaviour, self._uuid = Behaviour(**behaviour), uuid.uuid4()
        self._service = ThreadingHTTPServer((HOST, 0), _Service)
        self.address = f"http://{HOST}:{self._service.server_port}/onvif/device_service"
        self._service.behaviour, self._service.asked = self._behaviour, []
        self.asked = self._service.asked
        threading.Thread(target=self._service.serve_forever).start()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("", PORT))
        for interface in ("127.0.0.1", "0.0.0.0"):  # noqa: S104 - the default route's, too
            member = struct.pack("4s4s", socket.inet_aton(GROUP), socket.inet_aton(interface))
            with suppress(OSError):  # there may be no default route
                self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        self._thread = threading.Thread(target=self._answer)
        self._thread.start()

    def _answer(self) -> None:
        while True:
            probe, client = self._socket.recvfrom(65536)
            if probe == b"end":
                return
            message = re.search(rb"MessageID>([^<]*)<", probe)
            if message and b"Probe" in probe:
                values = {
                    "message": message[1].decode(),
                    "address": self.address,
                    "uuid": self._uuid,
                    "name": self._behaviour.name,
                }
                match = MATCH.format(**values)
                if self._behaviour.hostile:
                    match = match.replace("?>", f"?>{BOMB}", 1).replace("DS-2CD2042", "&b;")
                self._socket.sendto(match.encode(), client)

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            own.sendto(b"end", ("127.0.0.1", PORT))
        self._thread.join()
        self._service.shutdown()
        self._service.server_close()
        self._socket.close()
