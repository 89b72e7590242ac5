// A page of goals on PORT; /health answers "ok".
const { createServer } = require("node:http");
const { readFile } = require("node:fs/promises");

createServer(async (request, response) => {
  if (request.url === "/health") {
    response.end("ok\n");
    return;
  }
  // Read for each request: a page that was edited is seen at once.
  const page = await readFile("public/index.html");
  response.setHeader("Content-Type", "text/html; charset=utf-8");
  response.end(page);
}).listen(Number(process.env.PORT || 80));
