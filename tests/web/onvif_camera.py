"""An ONVIF camera that answers WS-Discovery probes and gives its address, on loopback."""

import base64
import hashlib
import re
import socket
import struct
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

GROUP, PORT = "239.255.255.250", 3702
MATCH = """<?xml version="1.0" encoding="UTF-8"?>
<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"
 xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing"
 xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"
 xmlns:dn="http://www.onvif.org/ver10/network/wsdl">
<s:Header><a:RelatesTo>{message}</a:RelatesTo>
<a:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/ProbeMatches</a:Action></s:Header>
<s:Body><d:ProbeMatches><d:ProbeMatch>
<a:EndpointReference><a:Address>urn:uuid:5f5a69c2-e0ae-504f-829b-00afa538ab17</a:Address></a:EndpointReference>
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
    "GetProfiles": "<r>"
    + "".join(
        f'<Profiles token="{token}"><tt:VideoEncoderConfiguration><tt:Resolution><tt:Width>{width}'
        "</tt:Width><tt:Height>360</tt:Height></tt:Resolution></tt:VideoEncoderConfiguration></Profiles>"
        for token, width in {"sub": 640, "main": 1920}.items()
    )
    + "</r>",
    "GetStreamUri": "<r><MediaUri><tt:Uri>{stream}</tt:Uri></MediaUri></r>",
}
"""Bodies by request."""


def _is_authorized(request: str) -> bool:
    """Checks the password digest of WS-Security (UsernameToken Profile)."""
    found = [re.search(f"<[^>]*{tag}[^>]*>([^<]*)<", request) for tag in ("Nonce", "Created")]
    nonce, created = (match[1] if match else "" for match in found)
    secret = base64.b64decode(nonce) + f"{created}{PASSWORD}".encode()
    digest = hashlib.sha1(secret).digest()  # noqa: S324 - as ONVIF demands
    return base64.b64encode(digest).decode() in request and f">{USER}<" in request


class _Service(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        request = self.rfile.read(int(self.headers["Content-Length"])).decode()
        name = next((name for name in ANSWERS if f"{name}" in request), "")
        token = re.search("ProfileToken>([^<]*)<", request)
        allowed = name == "GetServices" or _is_authorized(request)
        body = ANSWERS.get(name, FAULT) if allowed else FAULT
        stream = self.server.stream.replace("TOKEN", token[1] if token else "")
        answer = SOAP.format(body.replace("{stream}", stream)).encode()
        self.send_response(200 if body != FAULT else 400)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Prints nothing."""


class OnvifCamera:
    """Joins the multicast group on loopback and answers each probe until it is closed."""

    def __init__(
        self, stream: str = "rtsp://10.0.0.9:554/live/TOKEN", name: str = "HIKVISION%20DS-2CD2042"
    ) -> None:
        """Gives this address of its stream, which may be that of another network."""
        self._name = name
        self._service = ThreadingHTTPServer((HOST, 0), _Service)
        self.address = f"http://{HOST}:{self._service.server_port}/onvif/device_service"
        self._service.stream = stream
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
                values = {"message": message[1].decode(), "address": self.address}
                match = MATCH.format(**values, name=self._name)
                self._socket.sendto(match.encode(), client)

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            own.sendto(b"end", ("127.0.0.1", PORT))
        self._thread.join()
        self._service.shutdown()
        self._service.server_close()
        self._socket.close()
