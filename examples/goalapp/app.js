// A page of goals on PORT; /health answers "ok".
const { createServer } = require("node:http");
const { readFileSync } = require("node:fs");

const page = readFileSync("public/index.html");

createServer((request, response) => {
  if (request.url === "/health") {
    response.end("ok\n");
    return;
  }
  response.setHeader("Content-Type", "text/html; charset=utf-8");
  response.end(page);
}).listen(Number(process.env.PORT || 80));
