"""The JSON Schema of the configuration, as editors take it: each key with its title, description and an example.

It stands alone because the page of the configuration is written from it too, by scripts/configuration.
"""

from __future__ import annotations

from typing import Any, Final

from publisher.model.codec import schema
from publisher.model.settings import Settings
from publisher.model.settings_texts import TEXTS

ID: Final = "urn:publish:schema:configuration:1"
TABLES: Final = {
    "TagSettings": "tags",
    "BuildSettings": "build",
    "SignSettings": "sign",
    "SmokeSettings": "smoke",
    "HttpCheck": "smoke.http",
    "TransferSettings": "transfer",
    "HubSettings": "hub",
    "RetentionSettings": "retention",
    "RegistrySettings": 'registry."HOST"',
    "ImageSettings": "images.NAME",
}


def settings_schema() -> dict[str, Any]:
    """The schema of publish.toml, which is that of [tool.publish] in pyproject.toml too."""
    document = schema(Settings)
    for name, table in document["$defs"].items():
        for key, described in table.get("properties", {}).items():
            text = TEXTS.get(name, {}).get(key)
            described["title"] = f"{TABLES[name]}.{key}" if name in TABLES else key
            if text:
                described |= {"description": text.description, "examples": [text.example]}
    head = {"$id": ID, "title": "publish.toml", "description": "What `publish` releases, and how."}
    return {"$schema": document.pop("$schema"), **head, **document}
