// What the peers on Node share: the login by the application, and POST /tell?user=… with a text.
import http from "node:http";

const agent = new http.Agent({ keepAlive: true, maxSockets: 64 });

/** Asks `application` whose cookie this is; `done` gets the user, or null. */
export function login(application, cookie, done) {
  const question = http.request(application, { method: "POST", agent, headers: { cookie } }, (answer) => {
    let text = "";
    answer.on("data", (part) => (text += part));
    answer.on("end", () => done(answer.statusCode === 200 ? JSON.parse(text).user_id : null));
  });
  question.on("error", () => done(null));
  question.end();
}

/** A server whose requests call `tell` with a user and a text. */
export function telling(tell) {
  return http.createServer((request, response) => {
    const user = new URL(request.url, "http://x").searchParams.get("user");
    let text = "";
    request.on("data", (part) => (text += part));
    request.on("end", () => {
      tell(user, text);
      response.writeHead(201, { "content-length": 0 }).end();
    });
  });
}
