"""Advice about Dockerfiles: each with one that needs it and one that doesn't."""

from __future__ import annotations

import pytest

from publisher.engine.dockerfile import Surroundings, advise, read_dockerfile

GOOD = """\
FROM node:22
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci
COPY . .
EXPOSE 80
CMD ["node", "app.js"]
"""


def rules(text: str, around: Surroundings | None = None) -> list[tuple[int, str]]:
    """Lines and rules of all advice."""
    return [(one.line, one.rule) for one in advise(text, around or Surroundings(ports=(80,)))]


def test_a_good_one() -> None:
    """Nothing is said where there is nothing to say."""
    assert not rules(GOOD)


@pytest.mark.parametrize(
    ("text", "around", "expected"),
    [
        pytest.param("FROM a\nWORKDIR /app\nCOPY . .\nRUN npm install\n", None, (3, "copy-before-install"), id="copy"),
        pytest.param(
            "FROM a\nWORKDIR /app\nCOPY . /app\nRUN apk add x \\\n  && pip install -r r.txt\n", None,
            (3, "copy-before-install"), id="copy-continued",
        ),
        pytest.param(GOOD, Surroundings(ignores=False, ports=(80,)), (5, "no-dockerignore"), id="no-dockerignore"),
        pytest.param(GOOD, Surroundings(files=(".git",), ports=(80,)), (5, "ships-secret"), id="git"),
        pytest.param(GOOD, Surroundings(files=("x/.env",), ports=(80,)), (5, "ships-secret"), id="env"),
        pytest.param(GOOD, Surroundings(files=("tls/server.key",), ports=(80,)), (5, "ships-secret"), id="key"),
        pytest.param("FROM a\nCOPY x /x\n", None, (1, "workdir"), id="no-workdir"),
        pytest.param("FROM a\nWORKDIR /\nCOPY x /x\n", None, (2, "workdir"), id="root-workdir"),
        pytest.param("FROM a\nWORKDIR /app\nRUN npm start\n", None, (3, "server-in-run"), id="npm-start"),
        pytest.param("FROM a\nWORKDIR /app\nRUN cd x && node app.js\n", None, (3, "server-in-run"), id="node"),
        pytest.param("FROM a\nWORKDIR /app\nCMD node app.js\n", None, (3, "shell-form"), id="shell-form"),
        pytest.param(
            'FROM a\nWORKDIR /app\nVOLUME ["/a/data"]\nCOPY x /a/data/x\n', None, (4, "hidden-by-volume"), id="volume"
        ),
        pytest.param("FROM a\nWORKDIR /app\nEXPOSE 8080\n", None, (3, "expose"), id="expose-other"),
        pytest.param("FROM a\nWORKDIR /app\n", None, (0, "expose"), id="expose-none"),
    ],
)  # fmt: skip
def test_advice(text: str, around: Surroundings | None, expected: tuple[int, str]) -> None:
    """What is wrong is named with its line."""
    assert expected in rules(text, around)


@pytest.mark.parametrize(
    "text",
    [
        "FROM a\nWORKDIR /app\nCOPY --from=build . .\nRUN npm ci\nEXPOSE 80/tcp\n",
        "FROM a AS b\nCOPY . /src\nFROM c\nWORKDIR /app\nRUN npm ci\nEXPOSE 80\n",
        "FROM a\nWORKDIR /app\nCOPY x /data/x\nVOLUME /data\nEXPOSE 80\n",
        "FROM a\nWORKDIR /app\nRUN apk add nginx-mod node\nEXPOSE 80\n",
    ],
)
def test_no_false_alarm(text: str) -> None:
    """What only looks like it is left alone."""
    assert not rules(text)


def test_lines() -> None:
    """Comments and continued lines don't shift the line of an instruction."""
    found = read_dockerfile("# x\nFROM a\n\nRUN a \\\n# y\n  b\nCMD c\n")
    assert [(one.line, one.word, one.rest) for one in found] == [
        (2, "FROM", "a"),
        (4, "RUN", "a b"),
        (7, "CMD", "c"),
    ]
