"""Posts in the form of cameras that read plates by themselves, with the makers' field names.

Hikvision: Device Network SDK (Traffic) Developer Guide 6.1.4, XML_EventNotificationAlert_ANPR, in
the multipart form of an HTTP listening host. Dahua: ITSAPI, POST /NotificationInfo/TollgateInfo.
Axis: VAPIX, License plate verifier API, "Push events", with the parts `event` and `image`, or with
`ImageArray`. No device was at hand.
"""

import base64
import json
from typing import Any

ALERT = """<?xml version="1.0" encoding="UTF-8"?>
<EventNotificationAlert version="2.0" xmlns="http://www.isapi.org/ver20/XMLSchema">
<ipAddress>192.168.1.64</ipAddress><portNo>80</portNo><protocol>HTTP</protocol>
<macAddress>c0:56:e3:aa:bb:cc</macAddress><channelID>1</channelID>
<dateTime>{time}</dateTime><activePostCount>1</activePostCount>
<eventType>{kind}</eventType><eventState>active</eventState><eventDescription>ANPR</eventDescription>
<channelName>Gate</channelName><ANPR><country>3</country><licensePlate>{plate}</licensePlate>
<line>1</line><direction>forward</direction><confidenceLevel>{confidence}</confidenceLevel>
<plateType>unknown</plateType><vehicleListName>otherList</vehicleListName><pictureInfoList>
<pictureInfo><fileName>licensePlatePicture.jpg</fileName><type>licensePlatePicture</type></pictureInfo>
<pictureInfo><fileName>detectionPicture.jpg</fileName><type>detectionPicture</type><plateRect><X>408</X>
<Y>470</Y><width>149</width><height>31</height></plateRect></pictureInfo></pictureInfoList></ANPR>
<UUID>{uuid}</UUID><picNum>2</picNum></EventNotificationAlert>
"""
END = b"</EventNotificationAlert>"
JSON = "application/json"
MULTIPART = "multipart/form-data; boundary=boundary"
Sample = tuple[str, bytes]
"""Content type and body."""


def multipart(*files: tuple[str, str, bytes]) -> Sample:
    """Returns a body of parts: name, content type and content."""
    parts = (
        f'--boundary\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n'
        f"Content-Type: {kind}\r\nContent-Length: {len(data)}\r\n\r\n".encode()
        + data
        + b"\r\n"
        for name, kind, data in files
    )
    return MULTIPART, b"".join(parts) + b"--boundary--\r\n"


def hikvision(plate: str = "AB 12", picture: bytes = b"", **fields: object) -> Sample:
    values = {"time": "2026-11-24T14:51:24+08:00", "kind": "ANPR", "confidence": 93, "uuid": "a0fe"}
    alert = ALERT.format(plate=plate or "", **values | fields).encode()
    pictures = [
        (f"{name}.jpg", "image/jpeg", data)
        for name, data in (("licensePlatePicture", b""), ("detectionPicture", picture))
    ]
    return multipart(("anpr.xml", 'text/xml; charset="UTF-8"', alert), *pictures)


def dahua(plate: str = "AB-12", picture: bytes = b"", **snap: object) -> Sample:
    content = base64.b64encode(picture).decode()
    value: dict[str, Any] = {
        "Picture": {
            "NormalPic": {"PicName": "20261124145124.jpg", "Content": content},
            "CutoutPic": {"PicName": "20261124145124_cut.jpg", "Content": ""},
            "Plate": {
                "IsExist": True,
                "PlateNumber": plate,
                "PlateColor": "White",
                "Confidence": 93,
                "BoundingBox": [1000, 2000, 3000, 2500],
            },
            "SnapInfo": {
                "AccurateTime": "2026-11-24 14:51:24.123",
                "Direction": "Obverse",
                "DeviceID": "7L0",
            }
            | snap,
        }
    }
    return JSON, json.dumps(value).encode()


def axis(plate: str = "AB12", picture: bytes = b"", *, parts: bool = True, **fields: Any) -> Sample:
    event = {
        "packetCounter": "2117397",
        "capture_timestamp": "1702297625507",
        "datetime": "20231211 142705507",
        "plateText": plate,
        "plateUTF8": plate,
        "plateCountry": "DEU",
        "plateConfidence": "0.93",
        "carState": "new",
        "geotag": {"lat": 55.70421, "lon": 13.19366},
        "imageType": "vehicle",
        "carMoveDirection": "unknown",
        "plateCoordinates": [670, 496, 276, 44],
        "carID": "34939",
        "camera_info": {"SerialNumber": "ACCC8E9BB16D", "ProdShortName": "AXIS P1447-LE"},
    } | fields
    if parts:
        image = ("image", "image/jpeg", picture)
        return multipart(("event", JSON, json.dumps(event).encode()), image)
    binary = base64.b64encode(picture).decode()
    images = [{"ImageType": "", "ImageFormat": "jpg", "BinaryImage": binary}]
    return JSON, json.dumps(event | {"ImageArray": images}).encode()


HEARTBEATS: tuple[Sample, ...] = (
    (JSON, b'{"Active": "keepAlive", "DeviceID": "7L0"}'),
    (JSON, b'{"system": {}, "identify": {}, "ALPV": {"numberOfReads": "51"}}'),
    ("text/xml", ALERT.partition("<ANPR>")[0].format(time="", kind="heartBeat").encode() + END),
)
