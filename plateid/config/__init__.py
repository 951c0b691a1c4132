"""`plateid.toml`: one file, every key described, unknown keys refused."""

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
