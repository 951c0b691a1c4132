"""The configuration file `plateid.toml`: every key has a description, unknown keys are errors.

section         what all tables have in common
cameras         [[camera]] and [events]
models          [models], shipped and installed bundles
outputs         [mqtt], [homeassistant], [lists], [[webhook]], [logfile]
service         [metrics], [web], [gps]
storage         [store], [retention], [privacy], [snapshots]
root            the whole file, and the rules between its tables
load, problems  reads the file; describes what is wrong in it
reload          which changes take effect without a restart
plate_formats   the plate syntax that a configuration expects
"""

from plateid.config.cameras import CameraConfig, EventsConfig
from plateid.config.load import load_config
from plateid.config.models import DEFAULT_BUNDLE, ModelsConfig, bundle_path, shipped_bundles
from plateid.config.outputs import (
    HomeAssistantConfig,
    ListsConfig,
    LogfileConfig,
    MqttConfig,
    WebhookConfig,
)
from plateid.config.plate_formats import expected_formats, formats_of, load_formats, rules_of
from plateid.config.root import Config
from plateid.config.service import GpsConfig, MetricsConfig, WebConfig
from plateid.config.storage import PrivacyConfig, RetentionConfig, SnapshotsConfig, StoreConfig

__all__ = [
    "DEFAULT_BUNDLE",
    "CameraConfig",
    "Config",
    "EventsConfig",
    "GpsConfig",
    "HomeAssistantConfig",
    "ListsConfig",
    "LogfileConfig",
    "MetricsConfig",
    "ModelsConfig",
    "MqttConfig",
    "PrivacyConfig",
    "RetentionConfig",
    "SnapshotsConfig",
    "StoreConfig",
    "WebConfig",
    "WebhookConfig",
    "bundle_path",
    "expected_formats",
    "formats_of",
    "load_config",
    "load_formats",
    "rules_of",
    "shipped_bundles",
]
