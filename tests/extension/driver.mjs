// Runs extensions/tokmon with a small fake of pi: reads a scenario (JSON) on stdin, does its steps one after another,
// and prints what was seen as JSON. The real fetch is replaced first, by one that answers from the scenario.
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import net from "node:net";
import { pathToFileURL } from "node:url";

const scenario = JSON.parse(await new Response(process.stdin).text());
const promises = [];
const asked = [];
globalThis.fetch = function fetch(...request) {
	asked.push({ count: request.length });
	const answer = scenario.answers?.[asked.length - 1] ?? { status: 200 };
	const promise = answer.code
		? Promise.reject(Object.assign(new TypeError("fetch failed"), { cause: { code: answer.code } }))
		: Promise.resolve(new Response(answer.body ?? "body", { status: answer.status, headers: answer.headers }));
	promise.catch(() => {});
	promises.push(promise);
	return promise;
};
const original = globalThis.fetch;

// `connect` is how every connection fails: with that code, or by throwing at once.
if (scenario.connect) {
	net.createConnection = () => {
		const error = Object.assign(new Error(`connect ${scenario.connect}`), { code: scenario.connect });
		if (scenario.connect === "throws") throw error;
		return new net.Socket().destroy(error);
	};
	syncBuiltinESMExports();
}

const models = scenario.models ?? [
	{
		provider: "team-a",
		id: "m1",
		api: "anthropic-messages",
		baseUrl: "https://a.test",
		cost: { input: 3, output: 15 },
	},
];
let session = scenario.session ?? "session-1";
const entries = scenario.entries ?? [];

// What pi's providers return: a stream, whose `result()` is the final message of the scenario, which comes with step `end`.
let finish;
const ended = new Promise((resolve) => {
	finish = () => resolve(scenario.final);
});
const sends = (method) => (model, request, options) => {
	const sent = (async () => {
		const responses = [];
		for (const { url, init } of [request].flat()) {
			await options?.onPayload?.({}, model);
			responses.push(await globalThis.fetch(url, init).catch((error) => ({ error })));
		}
		await Promise.all(pi.handlers.told?.map((tell) => tell()) ?? []);
		return { method, responses };
	})();
	return "final" in scenario ? Object.assign(sent, { result: () => ended }) : sent;
};
const providers = new Map(
	models.map(({ provider }) => [provider, { id: provider, stream: sends("stream"), streamSimple: sends("simple") }]),
);
const ctx = () => ({
	model: models.find((model) => `${model.provider}/${model.id}` === (scenario.model ?? "team-a/m1")),
	modelRegistry: {
		getAll: () => models,
		getAvailable: () => models,
		find: (provider, id) => models.find((model) => model.provider === provider && model.id === id),
		getProvider: (name) => providers.get(name),
		isUsingOAuth: ({ provider }) => scenario.logins?.includes(provider) ?? false,
	},
	sessionManager: { getSessionId: () => session, getEntries: () => entries },
});

const pi = {
	handlers: {},
	on(event, handler) {
		this.handlers[event] ??= [];
		this.handlers[event].push(handler);
		return () => this.handlers[event].splice(this.handlers[event].indexOf(handler), 1);
	},
};

const steps = {
	// Replaces what was loaded, as /reload does, or with `beside` is loaded as well; `file` is another extension.
	async load({ beside = false, file = `${scenario.extension}/index.ts` }) {
		if (!beside) pi.handlers = {};
		const url = pathToFileURL(file);
		url.search = `?${Math.random()}`;
		const returned = (await import(url.href)).default(pi);
		return {
			returned: returned === undefined,
			handlers: Object.keys(pi.handlers),
			wrapped: globalThis.fetch !== original,
		};
	},
	async emit({ event, data, times = 1, handlers = Infinity }) {
		const results = [];
		const began = performance.now();
		for (let time = 0; time < times; time++) {
			const made = JSON.parse(JSON.stringify(data ?? {}).replaceAll("$TIME", String(time)));
			const told = { type: event, ...made };
			for (const handler of (pi.handlers[event] ?? []).slice(0, handlers)) {
				const result = handler(told, ctx());
				results.push(result === undefined ? "undefined" : typeof result.then);
				await result;
			}
		}
		return { results: [...new Set(results)], ms: performance.now() - began };
	},
	async fetch({ url, init, as = "string" }) {
		const input = {
			string: url,
			URL: as === "URL" && new URL(url),
			Request: as === "Request" && new Request(url, init),
		};
		const promise = globalThis.fetch(...(as === "Request" ? [input[as]] : [input[as], init]));
		const same = promise === promises.at(-1);
		try {
			const response = await promise;
			return { same, status: response.status, used: response.bodyUsed, text: await response.text() };
		} catch (error) {
			return { same, error: String(error) };
		}
	},
	// Puts another fetch in place, as other extensions do: `around` the current one, or the one `before` tokmon.
	async replace({ kind }) {
		const current = globalThis.fetch;
		globalThis.fetch = kind === "before" ? original : (...request) => current(...request);
	},
	// `replaced` is how a handler of another extension replaces fetch, when the request is about to be sent.
	async ask({ provider, requests, method = "streamSimple", options, replaced }) {
		const model = models.find((each) => each.provider === provider);
		if (replaced) options = { ...options, onPayload: () => steps.replace({ kind: replaced }) };
		const { responses } = await providers.get(provider)[method](model, requests, options);
		return { statuses: responses.map((response) => response.status) };
	},
	async tell({ data }) {
		pi.handlers.told = [() => pi.handlers.after_provider_response.map((handler) => handler(data, ctx()))];
	},
	// The end of the last request of a session with the extension, as pi reports it.
	async end() {
		finish();
		await ended;
		for (const handler of pi.handlers.message_end) await handler({ message: scenario.final }, ctx());
	},
	async append({ entry }) {
		entries.push(entry);
	},
	async switch({ to }) {
		session = to;
	},
	async remove({ path }) {
		rmSync(path, { recursive: true });
	},
	// Waits until the sidecar has acknowledged everything that was sent, also by an older tokmon.
	async drain() {
		for (const version of [1, 2, 3]) {
			const outbox = globalThis[Symbol.for(`tokmon.capture.v${version}`)]?.outbox;
			while (outbox?.queue.length > 0) await new Promise((resolve) => setTimeout(resolve, 5));
		}
	},
	// Waits until a test has made a file; `made` makes one, to say that the steps before it are done.
	async until({ path }) {
		while (!existsSync(path)) await new Promise((resolve) => setTimeout(resolve, 5));
	},
	async made({ path }) {
		writeFileSync(path, "");
	},
	async sleep({ ms }) {
		await new Promise((resolve) => setTimeout(resolve, ms));
	},
	async state() {
		return { wrapped: globalThis.fetch !== original, kept: Symbol.for("tokmon.capture.v3") in globalThis };
	},
	async call({ file, name, args }) {
		return { value: (await import(pathToFileURL(`${scenario.extension}/${file}`).href))[name](...args) };
	},
	async exit() {
		process.stdout.write(JSON.stringify(results));
		process.exit(0);
	},
};

const results = [];
process.on("unhandledRejection", (reason) => results.push({ unhandled: String(reason) }));
process.on("uncaughtException", (error) => results.push({ uncaught: String(error) }));
for (const step of scenario.steps) results.push((await steps[step.do](step)) ?? {});
process.stdout.write(JSON.stringify(results));
