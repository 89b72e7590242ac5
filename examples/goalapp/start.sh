#!/bin/sh
# On a base without node the same page is served by busybox, so that the example builds from nearly nothing.
if command -v node >/dev/null; then
  exec node app.js
fi
exec busybox httpd -f -p "${PORT:-80}" -h /app/public
