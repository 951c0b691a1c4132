"""An ONVIF camera that answers WS-Discovery probes on loopback."""

import re
import socket
import struct
import threading
from contextlib import suppress

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
<d:Scopes>onvif://www.onvif.org/name/HIKVISION%20DS-2CD2042 onvif://www.onvif.org/hardware/DS-2CD2042</d:Scopes>
<d:XAddrs>http://127.0.0.9/onvif/device_service</d:XAddrs><d:MetadataVersion>1</d:MetadataVersion>
</d:ProbeMatch></d:ProbeMatches></s:Body></s:Envelope>"""


class OnvifCamera:
    """Joins the multicast group on loopback and answers each probe until it is closed."""

    def __init__(self) -> None:
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
                self._socket.sendto(MATCH.format(message=message[1].decode()).encode(), client)

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            own.sendto(b"end", ("127.0.0.1", PORT))
        self._thread.join()
        self._socket.close()
