# publish as an image of its own: docker run --rm ghcr.io/OWNER/publish plan --image me/app --version 1.0.0
# For a work tree and an engine, and as `image:` of a job in GitLab CI: docs/install.md.
# A tag, which its registry may move; with a digest it is pinned: --build-arg BASE=python:3.13-slim@sha256:…
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
WORKDIR /src
COPY requirements/publish.txt requirements/
# What the lock names, by hash, and nothing else.
RUN python3 -m venv /opt/publish && /opt/publish/bin/python -m pip install --quiet --disable-pip-version-check \
    --no-cache-dir --only-binary :all: --require-hashes --requirement requirements/publish.txt
COPY pyproject.toml README.md LICENSE ./
COPY publisher publisher
RUN /opt/publish/bin/python -m pip install --quiet --disable-pip-version-check --no-cache-dir --no-index --no-deps \
    --no-build-isolation .

FROM ${BASE}
# It tells the version, and whether the tree is clean.
RUN command -v git >/dev/null || { apt-get update -qq && \
    apt-get install -y -qq --no-install-recommends git && rm -rf /var/lib/apt/lists/*; }
COPY --from=build /opt/publish /opt/publish
ENV PATH=/opt/publish/bin:$PATH HOME=/home/publish
RUN mkdir -p /home/publish && chown 65532:65532 /home/publish
USER 65532:65532
WORKDIR /work
ENTRYPOINT ["publish"]
CMD ["--help"]
