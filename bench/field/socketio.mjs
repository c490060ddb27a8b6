// Node and socket.io. Arguments: the port, and the application's URL for logins.
import { Server } from "socket.io";
import { login, telling } from "./peer.mjs";

const [port, application] = process.argv.slice(2);
const server = telling((user, text) => io.to(user).emit("count", text));
const io = new Server({ transports: ["websocket"], serveClient: false });

io.use((socket, next) => {
  login(application, socket.handshake.headers.cookie ?? "", (user) => {
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
