// Node and socket.io. Arguments: the port, and the application's URL for logins.
import http from "node:http";
import { Server } from "socket.io";

const [port, application] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
const server = http.createServer((request, response) => {
  const user = new URL(request.url, "http://x").searchParams.get("user");
  let text = "";
  request.on("data", (part) => (text += part));
  request.on("end", () => {
    io.to(user).emit("count", text);
    response.writeHead(201, { "content-length": 0 }).end();
  });
});
const io = new Server({ transports: ["websocket"], serveClient: false });

function login(cookie, done) {
  const question = http.request(application, { method: "POST", agent, headers: { cookie } }, (answer) => {
    let text = "";
    answer.on("data", (part) => (text += part));
    answer.on("end", () => done(answer.statusCode === 200 ? JSON.parse(text).user_id : null));
  });
  question.on("error", () => done(null));
  question.end();
}

io.use((socket, next) => {
  login(socket.handshake.headers.cookie ?? "", (user) => {
    socket.data.user = user;
    next(user === null ? new Error("refused") : undefined);
  });
});
io.on("connection", (socket) => socket.join(socket.data.user));

// socket.io answers requests below its own path, and leaves the others to those that came before.
const own = server.listeners("request").slice(0);
io.attach(server);
server.removeAllListeners("request");
for (const answer of own) server.on("request", answer);
server.listen(Number(port), "127.0.0.1", 4096);
