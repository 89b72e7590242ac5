"""What each key of the configuration is for, and an example: the words of its JSON Schema and of its page.

By the table, then by the key as it stands in the file. An example is a value that the key may have.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple


class KeyText(NamedTuple):
    """One key's sentence, and a value for it."""

    description: str
    example: Any


SHARED: Final[dict[str, KeyText]] = {
    "source": KeyText("What `release` takes when no argument names it.", "docker-daemon:goalapp"),
    "tags": KeyText("Which tags a release writes.", {"rules": ["type=semver,pattern={{version}}"]}),
    "build": KeyText("How the image is built; having this table lets `release` build.", {"context": "."}),
    "sign": KeyText("How releases are signed; having this table signs every one.", {"by": "ci"}),
    "smoke": KeyText("How the image is run and checked before any tag moves.", {"ports": ["80"]}),
    "labels": KeyText(
        "Labels of a build, beside those that git and the project give.", {"org.opencontainers.image.licenses": "MIT"}
    ),
    "transfer": KeyText("How layers are compressed on their way.", {"compression": "gzip", "level": 1}),
    "hub": KeyText(
        "What Docker Hub shows and enforces; a key left out leaves a setting as it is there.", {"create": True}
    ),
    "retention": KeyText("What `tags --prune` keeps; a tag goes only if nothing keeps it.", {"keep-last": 10}),
}
TEXTS: Final[dict[str, dict[str, KeyText]]] = {
    "Settings": SHARED
    | {
        "images": KeyText(
            "One image in one or more repositories; or tables `[images.NAME]` for several images.", ["yeongyin/goalapp"]
        ),
        "registry": KeyText(
            'How registries are reached, by their host: `[registry."HOST:PORT"]`.',
            {"registry.example:5000": {"ca-bundle": "ca.pem"}},
        ),
    },
    "ImageSettings": SHARED
    | {
        "repositories": KeyText("Where this image is published.", ["acme/api"]),
        "version-prefix": KeyText("What stands before the version in this image's git tags: `api/v1.2.3`.", "api/"),
    },
    "TagSettings": {
        "rules": KeyText(
            "The rules, in docker/metadata-action's language; left out, the default rules.",
            ["type=semver,pattern={{version}}", "type=semver,pattern={{major}}.{{minor}}"],
        ),
        "flavor": KeyText("What holds for all rules: `latest=`, `prefix=`, `suffix=`.", ["latest=auto"]),
        "record": KeyText("Leave the receipt in the registry too, so that any machine can undo the release.", True),
    },
    "BuildSettings": {
        "context": KeyText("The folder that is sent to the builder.", "."),
        "dockerfile": KeyText("The Dockerfile, relative to this file.", "Dockerfile"),
        "args": KeyText("Build arguments.", {"NODE_ENV": "production"}),
        "target": KeyText("The stage to stop at.", "runtime"),
        "platforms": KeyText("The platforms to build for.", ["linux/amd64", "linux/arm64"]),
        "secrets": KeyText("Secrets for `RUN --mount=type=secret`, as buildx spells them.", ["id=npm,env=NPM_TOKEN"]),
        "ssh": KeyText("The SSH agent for `RUN --mount=type=ssh`; only `default`.", "default"),
        "cache-from": KeyText("Where the layer cache is read from.", ["type=registry,ref=acme/app:cache"]),
        "cache-to": KeyText("Where the layer cache is written to.", ["type=registry,ref=acme/app:cache,mode=max"]),
        "contexts": KeyText("Further contexts, `NAME=VALUE`, or a table.", {"base": "docker-image://alpine"}),
        "provenance": KeyText("The provenance that the builder attaches.", "mode=max"),
        "sbom": KeyText("The SBOM that the builder attaches.", True),
        "builder": KeyText("The name of the buildx builder.", "cloud"),
        "network": KeyText("The network of the build's steps.", "none"),
        "shm-size": KeyText("The size of /dev/shm in the build's steps.", "128m"),
        "ulimits": KeyText("Limits in the build's steps.", ["nofile=1024:2048"]),
    },
    "SignSettings": {
        "by": KeyText("Who signs: `ci` (the job's identity), a key file, or `env://NAME`.", "ci"),
        "sbom": KeyText("The SBOM to sign: a file, or `syft` or `trivy`, which then makes it.", "syft"),
        "legacy": KeyText("Write cosign's older form too.", True),
        "verify": KeyText("Who must have signed.", ["cosign.pub"]),
        "trust": KeyText("The trusted root of a private Sigstore.", "trusted_root.json"),
        "signing-config": KeyText("The signing configuration of a private Sigstore.", "signing_config.json"),
    },
    "SmokeSettings": {
        "command": KeyText("The command; left out, the image's own runs.", ["node", "app.js"]),
        "entrypoint": KeyText("Instead of the image's entrypoint.", ["/bin/sh", "-c"]),
        "env": KeyText("Environment variables.", {"PORT": "80"}),
        "env-file": KeyText("A file of environment variables, one `NAME=VALUE` a line.", "smoke.env"),
        "ports": KeyText("Ports of the container; a free port of the host is chosen for each.", ["80"]),
        "volumes": KeyText("Named, bind and anonymous volumes.", ["feedback:/app/feedback", "/app/node_modules"]),
        "user": KeyText("The user in the container.", "1000:1000"),
        "workdir": KeyText("The working directory in the container.", "/app"),
        "network": KeyText("The network to join.", "none"),
        "memory": KeyText("The most memory it may take.", "256m"),
        "cpus": KeyText("How many CPUs it may use.", 0.5),
        "read-only": KeyText("Mount the image's file system read-only.", True),
        "http": KeyText(
            "A request that must be answered so; or a list of them.", {"path": "/health", "contains": "ok"}
        ),
        "tcp": KeyText("A port, or a list of them, that must take connections.", "5432"),
        "healthcheck": KeyText("Wait until the image's own HEALTHCHECK says healthy.", True),
        "exit-code": KeyText("The code that it must end with.", 0),
        "output": KeyText("A regular expression that its output must contain.", "listening on \\d+"),
        "exec": KeyText("Commands that must succeed inside the running container.", [["test", "-f", "/app/ready"]]),
        "persist": KeyText("Files that must outlive a restart.", ["/app/feedback/one.txt"]),
        "timeout": KeyText("Seconds, for all of it.", 30),
    },
    "HttpCheck": {
        "path": KeyText("The path to ask for.", "/health"),
        "status": KeyText("The status that must come.", 200),
        "contains": KeyText("A text that the answer must contain.", "ok"),
        "port": KeyText("The port of the container; left out, the first of `ports`.", 8080),
    },
    "TransferSettings": {
        "compression": KeyText("`gzip` or `zstd`; engines before 23 can't read zstd.", "gzip"),
        "level": KeyText("0 to 9 for gzip, 1 to 22 for zstd.", 1),
    },
    "HubSettings": {
        "description": KeyText("The short description, at most 100 bytes.", "Keeps a list of goals"),
        "readme": KeyText('The file that becomes the long description; `""` empties the page.', "README.md"),
        "immutable": KeyText("Regular expressions of tags that nobody may overwrite.", ["^[0-9]+\\.[0-9]+\\.[0-9]+$"]),
        "create": KeyText("Create the repository where it is absent.", True),
        "private": KeyText("Whether only those who were given a right see it.", False),
        "on-release": KeyText("Apply description and README after each release.", True),
    },
    "RetentionSettings": {
        "keep-last": KeyText("How many of the newest versions stay.", 10),
        "keep": KeyText("Regular expressions; what one of them matches whole stays.", ["^nightly$"]),
        "max-age-days": KeyText("What is younger stays.", 90),
    },
    "RegistrySettings": {
        "insecure": KeyText("Plain HTTP or unverified TLS, for this host only; never for docker.io.", True),
        "ca-bundle": KeyText("Certificates to trust for this host.", "ca.pem"),
        "client-cert": KeyText("The certificate to show to this host.", "client.pem"),
        "client-key": KeyText("Its key, beside `client-cert`.", "client.key"),
        "trusted-realms": KeyText("Hosts of token services that get this registry's password.", ["auth.example"]),
    },
}
