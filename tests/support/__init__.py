"""What tests share: the real programs they run against, servers that stand in for others, and a simulated registry.

Real programs:

- `base_image`: a base image with this machine's Python, in place of one of Docker Hub.
- `builds`: Dockerfiles of today, a buildx that tells what it is told, and OCI layouts that it made.
- `command`: publish itself, run as users run it.
- `cosign`: both versions of it, offline.
- `engine`: a Docker Engine of our own.
- `engine_requests`: what is asked of an engine: a way to it that writes every request down
- `parts`: today's parts, which scripts/parts sets up.
- `podman`: podman as a second engine.
- `process`: ports, waiting, and the end of processes.
- `registry`: a real registry, CNCF distribution.
- `smoke_runs`: `publish smoke` on one engine, and what it leaves there.
- `terminal`: a terminal with a program in it.

Servers:

- `fault_proxy`: a proxy before a real registry that makes chosen requests fail.
- `http_server`: the one HTTP server, scripted and strict, and a client.
- `hub`: Docker Hub's API as a data file says, as a script of it.
- `network`: no connection leads off this machine.
- `odd_registry`: a registry that cuts, forgets and answers oddly, as a script of it.
- `token_service`: a token service, as a script of it.

The simulation, a registry without sockets in virtual time:

- `answers`: answers as bytes, recorded real ones, and what can become of them.
- `commands`: what the commands do, by simulated runs.
- `schedule`: whose request is next.
- `seed`: what a simulated registry holds before a test begins.
- `sigstore`: a Sigstore of our own with a clock that can be set, and releases that are signed by their job
- `simulated_faults`: what can become of a request.
- `simulation`: the registry and its runs.

Checks:

- `attest`: what cosign wrote about one image, and keys of every kind.
- `check_receipt`: whether a document is true of a registry.
- `order`: the order that every trace of requests keeps, and what every state of a registry is like.

Data and pages:

- `console`: the blocks of code in a page, run in one shell.
- `expressions`: GitHub's expressions.
- `github`: GitHub's runner.
- `layout`: OCI layouts in pure Python.
- `saved_image`: images in files that `docker save` wrote.
- `page`: the commands of a page, and what it says they print.
- `receipts`: receipts by hand.
- `screen`: a screen as docs show it.
"""
