// Node and `ws`. Arguments: the port, and the application's URL for logins.
import { WebSocketServer } from "ws";
import { login, telling } from "./peer.mjs";

const [port, application] = process.argv.slice(2);
const sockets = new Map();
const server = telling((user, text) => {
  for (const socket of sockets.get(user) ?? []) socket.send(text);
});
const wss = new WebSocketServer({ noServer: true, perMessageDeflate: false });

server.on("upgrade", (request, socket, head) => {
  login(application, request.headers.cookie ?? "", (user) => {
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
