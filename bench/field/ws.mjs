// Node and `ws`. Arguments: the port, and the application's URL for logins.
import http from "node:http";
import { WebSocketServer } from "ws";

const [port, application] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
const sockets = new Map();
const server = http.createServer((request, response) => {
  const user = new URL(request.url, "http://x").searchParams.get("user");
  let text = "";
  request.on("data", (part) => (text += part));
  request.on("end", () => {
    for (const socket of sockets.get(user) ?? []) socket.send(text);
    response.writeHead(201, { "content-length": 0 }).end();
  });
});
const wss = new WebSocketServer({ noServer: true, perMessageDeflate: false });

function login(cookie, done) {
  const question = http.request(application, { method: "POST", agent, headers: { cookie } }, (answer) => {
    let text = "";
    answer.on("data", (part) => (text += part));
    answer.on("end", () => done(answer.statusCode === 200 ? JSON.parse(text).user_id : null));
  });
  question.on("error", () => done(null));
  question.end();
}

server.on("upgrade", (request, socket, head) => {
  login(request.headers.cookie ?? "", (user) => {
    if (user === null) return void socket.destroy();
    wss.handleUpgrade(request, socket, head, (connection) => {
      const own = sockets.get(user) ?? new Set();
      sockets.set(user, own.add(connection));
      connection.on("close", () => own.delete(connection) && own.size === 0 && sockets.delete(user));
      connection.on("error", () => connection.terminate());
      connection.send("0");
    });
  });
});
server.listen(Number(port), "127.0.0.1", 4096);
