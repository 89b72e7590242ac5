"""Advice about Dockerfiles: each rule with Dockerfiles that need it and ones that don't."""

from __future__ import annotations

import pytest

from publisher.engine.advice import Surroundings, advise

GOOD = """\
FROM node:22
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci
COPY . .
EXPOSE 80
CMD ["node", "app.js"]
"""
HEAD = "FROM a\nWORKDIR /app\nEXPOSE 80\n"

# The line that the advice names, and a Dockerfile; what lies around it where that matters.
NEEDED = {
    "copy-before-install": [
        (4, HEAD + "COPY . .\nRUN npm install\n", {}),
        (4, HEAD + "COPY . /app\nRUN apk add x \\\n  && pip install -r r.txt\n", {}),
        (4, HEAD + 'COPY ["./", "/app"]\nRUN go mod download\n', {}),
    ],
    "no-dockerignore": [(5, GOOD, {"ignores": False})],
    "ships-secret": [
        (5, GOOD, {"files": (".git", ".git/config")}),
        (5, GOOD, {"files": ("x/.env",)}),
        (5, GOOD, {"files": ("x/.env.production",)}),
        (5, GOOD, {"files": ("tls/server.key",)}),
        (4, HEAD + "COPY tls /tls\nCOPY . .\n", {"files": ("tls/id_rsa",)}),
        (4, HEAD + "COPY .env .\n", {"files": (".env",)}),
        (4, HEAD + "COPY *.pem .\n", {"files": ("site.pem",)}),
    ],
    "workdir": [
        (1, "FROM a\nEXPOSE 80\nCOPY x /x\n", {}),
        (2, "FROM a\nWORKDIR /\nEXPOSE 80\nCOPY x /x\n", {}),
        (3, "FROM a AS b\nWORKDIR /app\nFROM c\nEXPOSE 80\nRUN x\n", {"workdir": "/"}),
    ],
    "server-in-run": [
        (4, HEAD + "RUN npm start\n", {}),
        (4, HEAD + "RUN cd x && node app.js\n", {}),
        (4, HEAD + "RUN python3 -m http.server\n", {}),
    ],
    "shell-form": [(4, HEAD + "CMD node app.js\n", {}), (4, HEAD + "ENTRYPOINT node app.js\n", {})],
    "hidden-by-volume": [
        (5, HEAD + 'VOLUME ["/a/data"]\nCOPY x /a/data/x\n', {}),
        (5, HEAD + "VOLUME /data\nADD x /data\n", {}),
    ],
    "expose": [
        (3, "FROM a\nWORKDIR /app\nEXPOSE 8080\n", {}),
        (0, "FROM a\nWORKDIR /app\n", {}),
        (0, "FROM a\nWORKDIR /app\n", {"exposed": (8080,)}),
    ],
}  # fmt: skip
NOT_NEEDED = {
    "copy-before-install": [
        (GOOD, {}),
        (HEAD + "COPY --from=build . .\nRUN npm ci\n", {}),
        ("FROM a AS b\nCOPY . /src\nFROM c\nWORKDIR /app\nRUN npm ci\nEXPOSE 80\n", {}),
        (HEAD + "COPY . .\nRUN echo done\n", {}),
    ],
    "no-dockerignore": [(GOOD, {}), (HEAD + "COPY src .\n", {"ignores": False})],
    "ships-secret": [
        (GOOD, {"files": ("environment", "keyboard.js", "monkey")}),
        (HEAD + "COPY src .\n", {"files": (".env", ".git", "tls/server.key")}),
    ],
    "workdir": [
        (GOOD, {}),
        ("FROM a\nEXPOSE 80\nCOPY x /x\n", {"workdir": "/srv"}),
        ("FROM a AS b\nWORKDIR /app\nFROM b\nEXPOSE 80\nRUN x\n", {}),
        ("FROM a\nEXPOSE 80\nENV A=b\n", {}),
    ],
    "server-in-run": [(HEAD + "RUN apk add nginx-mod node\n", {}), (HEAD + "RUN npm run build\n", {})],
    "shell-form": [(HEAD + 'CMD ["node", "app.js"]\n', {}), (HEAD + "CMD exec node app.js\n", {})],
    "hidden-by-volume": [
        (HEAD + "COPY x /data/x\nVOLUME /data\n", {}),
        (HEAD + "VOLUME /data\nCOPY x /database/x\n", {}),
        (HEAD + "VOLUME /data\nFROM b\nWORKDIR /app\nEXPOSE 80\nCOPY x /data\n", {}),
    ],
    "expose": [
        (GOOD, {}),
        ("FROM a\nWORKDIR /app\nEXPOSE 80/tcp\n", {}),
        ("FROM a\nWORKDIR /app\nEXPOSE 75-85\n", {}),
        ("FROM a\nWORKDIR /app\nEXPOSE $PORT\n", {}),
        ("FROM a\nWORKDIR /app\n", {"exposed": (80,)}),
    ],
}


def rules_and_lines(text: str, around: dict[str, object]) -> list[tuple[str, int]]:
    """Rules and lines of all advice, where the smoke run uses port 80."""
    surroundings = Surroundings(**{"ports": (80,), **around})  # type: ignore[arg-type] # as the tables have them
    return [(advice.rule, advice.line) for advice in advise(text, surroundings)]


def cases(table: dict[str, list[tuple[object, ...]]]) -> list[object]:
    """One for each Dockerfile, named after its rule."""
    return [
        pytest.param(rule, *case, id=f"{rule}-{number}")
        for rule, listed in table.items()
        for number, case in enumerate(listed)
    ]


@pytest.mark.parametrize(("rule", "line", "text", "around"), cases(NEEDED))  # type: ignore[arg-type] # tuples of many kinds
def test_needed(rule: str, line: int, text: str, around: dict[str, object]) -> None:
    """What is wrong is named with its line, once, and nothing else is."""
    assert rules_and_lines(text, around) == [(rule, line)]


@pytest.mark.parametrize(("rule", "text", "around"), cases(NOT_NEEDED))  # type: ignore[arg-type] # tuples of many kinds
def test_not_needed(rule: str, text: str, around: dict[str, object]) -> None:
    """What is right, or only looks wrong, is left alone."""
    assert not rules_and_lines(text, around)


def test_every_rule_is_tried() -> None:
    """Each has Dockerfiles of both kinds."""
    assert NEEDED.keys() == NOT_NEEDED.keys()
    assert len(NEEDED) == 8
