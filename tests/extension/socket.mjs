// Observes a real WebSocket with `extensions/tokmon/socket.ts`: connects to the URL of the scenario (JSON on stdin),
// sends `requests` requests, each when the one before is answered, and prints the captures as JSON.
// `replace` puts another WebSocket in place: `class` extends the observed one, `facade` holds one of it, `restore` is the
// one that was there before.
import { pathToFileURL } from "node:url";

const {
	extension,
	url,
	requests,
	replace,
	headers: more,
	protocols,
} = JSON.parse(await new Response(process.stdin).text());
const load = (file) => import(pathToFileURL(`${extension}/${file}`).href);
const { sharedState } = await load("state.ts");
const { observeSockets, onSocket } = await load("socket.ts");
const state = sharedState();
const lines = [];
state.outbox.add = (line) => lines.push(JSON.parse(line));
state.onSocket = (...socket) => onSocket(state, ...socket);
const native = globalThis.WebSocket;
observeSockets(state);
const observed = globalThis.WebSocket;
class Facade extends EventTarget {
	constructor(...args) {
		super();
		this.inner = new observed(...args);
		for (const name of ["open", "message", "close", "error"])
			this.inner.addEventListener(name, (event) =>
				this.dispatchEvent(Object.assign(new Event(name), { data: event.data })),
			);
	}
	send(...data) {
		this.inner.send(...data);
	}
	close() {
		this.inner.close();
	}
}
if (replace === "class") globalThis.WebSocket = class extends observed {};
if (replace === "facade") globalThis.WebSocket = Facade;
if (replace === "restore") globalThis.WebSocket = native;
observeSockets(state);

const once = (socket, ...names) =>
	new Promise((resolve) => {
		for (const name of names) socket.addEventListener(name, resolve, { once: true });
	});
const context = { provider: "team-x", model: "m", api: "openai-codex-responses", baseUrl: "", responses: 0 };
context.baseUrl = url.replace(/^ws/, "http").replace(/\/codex.*/, "");
const headers = { authorization: "Bearer secret-of-the-test", "chatgpt-account-id": "account-of-the-test", ...more };
const socket = new globalThis.WebSocket(url, { headers, protocols });
await once(socket, "open", "error");
let closed = false;
socket.addEventListener("close", () => {
	closed = true;
});
for (let request = 0; request < requests && !closed; request++) {
	const ended = new Promise((resolve) => {
		socket.addEventListener("close", resolve);
		socket.addEventListener("message", async ({ data }) => {
			const text = typeof data === "string" ? data : await data.text();
			if (/"type": ?"(response\.(completed|failed|incomplete|done)|error)"/.test(text)) resolve();
		});
	});
	state.contexts.run(context, () => socket.send(JSON.stringify({ type: "response.create" })));
	await ended;
}
socket.close();
if (!closed) await once(socket, "close");
process.stdout.write(JSON.stringify(lines));
