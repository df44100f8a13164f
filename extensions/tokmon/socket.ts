/**
 * Captures the answers that come over a WebSocket (Codex). They have no response headers: the quota is in frames, and an
 * error in a frame with a status and headers. Each answer is one capture. A refused upgrade is none: pi asks over HTTP.
 */

import { attribute, goesToModel, learnCredential } from "./attribution.ts";
import { allowedHeaders, elapsed, keyShape, requestId } from "./capture.ts";
import { chatgptAccount, credentialOf, noteIdentity } from "./identity.ts";
import { loginAccount } from "./login.ts";
import { noteCapturedError } from "./refusals.ts";
import type { Capture } from "./schema.ts";
import { rememberProtocols, rememberSecrets } from "./secrets.ts";
import { isNew, origin, type RequestContext, type State, send } from "./state.ts";
import { count, field, name, quietly, scrub } from "./values.ts";

const MAX_FRAME = 16 * 1024;
const LIMITS = "codex.rate_limits";
/** The error of an answer whose connection ended before its first message. */
const CLOSED = "closed";
const END = /^response\.(completed|done|incomplete)$/;
/** Whether a message may be a frame that matters. The others are the words of the answer: they are not parsed. */
const MATTERS = /"(?:codex\.rate_limits|error|response\.(?:completed|done|incomplete|failed))"/;
/** Fields of a quota frame that are sent, whole. */
const FRAME_FIELD = /^type$|limit|credit|plan|spend|reset/;

type Fields = Record<string, unknown>;
type Outcome = Pick<Capture, "http_status" | "request_id" | "error" | "headers">;

/** One request over a WebSocket that has not been answered to its end. */
interface Answer {
	context: RequestContext;
	started: number;
	/** Whether a message has come. */
	begun: boolean;
	limits: Fields | undefined;
}

/** Puts our constructor in the place of `WebSocket`, again if another extension has replaced it. */
export function observeSockets(state: State): void {
	const current: unknown = globalThis.WebSocket;
	if (typeof current !== "function" || current === state.socket) return;
	const observer: unknown = new Proxy(current, {
		construct(target, parameters: unknown[], newTarget) {
			const made = newTarget === observer ? target : newTarget;
			const socket: object = Reflect.construct(target, parameters, made);
			quietly(() => state.onSocket(socket, String(parameters[0]), parameters[1]));
			return socket;
		},
	});
	Object.assign(globalThis, { WebSocket: observer });
	state.socket = observer;
}

/** Observes what a new WebSocket sends and receives. One may carry many requests, one after another. */
export function onSocket(state: State, socket: object, address: string, options: unknown): void {
	const [original, subscribe] = [field(socket, "send"), field(socket, "addEventListener")];
	if (typeof original !== "function" || typeof subscribe !== "function" || !isNew(state, socket)) return;
	const listen = (event: string, action: (event: unknown) => void): void =>
		void Reflect.apply(subscribe, socket, [event, (data: unknown) => void quietly(() => action(data))]);
	const url = new URL(address.replace(/^ws/i, "http"));
	const headers = quietly(() => new Headers(field(options, "headers") as ConstructorParameters<typeof Headers>[0]));
	const credential = headers && credentialOf(headers);
	quietly(() => rememberSecrets([address, { headers }]));
	quietly(() => rememberProtocols(field(options, "protocols") ?? options));
	let answer: Answer | undefined;
	const end = (outcome: Outcome) => {
		const ended = answer;
		answer = undefined;
		if (ended) quietly(() => report(state, ended, url, headers, outcome));
	};
	/** The end of an answer without a last frame: the beginning says that it was served, as with a stream that is cut. */
	const cut = () => answer && end(answer.begun ? { http_status: 200, headers: {} } : { error: CLOSED, headers: {} });
	const begin = () => {
		const context = state.contexts.getStore();
		if (!context || !goesToModel(context, url)) return;
		if (credential) learnCredential(state, context.provider, credential);
		cut();
		answer = { context, started: performance.now(), begun: false, limits: undefined };
	};
	const observedSend = (...data: unknown[]): unknown => {
		const sends = state.sends;
		const returned: unknown = Reflect.apply(original, socket, data);
		// A WebSocket around another one hands the request on: the inner one is observed.
		if (state.sends === sends) quietly(begin);
		state.sends = sends + 1;
		return returned;
	};
	Object.defineProperty(socket, "send", { value: observedSend, configurable: true, writable: true });
	const receive = (data: unknown) => {
		if (!answer) return;
		answer.begun = true;
		const outcome = onMessage(answer, data);
		if (outcome) end(outcome);
	};
	listen("message", (event) => {
		const data = field(event, "data");
		// pi reads a binary message in this way too, and after us.
		if (data instanceof Blob)
			data.text().then(
				(text) => quietly(() => receive(text)),
				() => undefined,
			);
		else receive(data);
	});
	listen("close", cut);
	listen("error", cut);
}

/** Reads a message. The outcome if the answer ends with it. */
function onMessage(answer: Answer, data: unknown): Outcome | undefined {
	const isBinary = data instanceof ArrayBuffer || ArrayBuffer.isView(data);
	const text = isBinary ? new TextDecoder().decode(data as Uint8Array) : String(data);
	if (!MATTERS.test(text)) return undefined;
	const frame = JSON.parse(text) as Fields;
	const type = String(frame.type);
	if (type === LIMITS) answer.limits = merged(answer.limits, frame);
	if (END.test(type)) return { http_status: 200, headers: {} };
	if (type === "response.failed") return failure(field(frame.response, "error"), frame);
	return type === "error" ? failure(frame.error ?? { code: frame.code, message: frame.message }, frame) : undefined;
}

/** The known fields of a quota frame. A frame of a further limit is added to `additional_rate_limits`. */
function merged(before: Fields | undefined, frame: Fields): Fields {
	const known = Object.fromEntries(Object.entries(frame).filter(([key]) => FRAME_FIELD.test(key)));
	if (!before) return known;
	const [main, other] = limitOf(before) === "codex" ? [before, known] : [known, before];
	const limit = limitOf(other);
	if (limit === limitOf(main)) return known;
	const further = { [limit]: other.rate_limits, ...(other.additional_rate_limits as object | undefined) };
	const additional = main.additional_rate_limits;
	if (Array.isArray(additional)) return main;
	return { ...main, additional_rate_limits: { ...(additional as object | undefined), ...further } };
}

/** The limit that a frame is about; the account's own is `codex`. */
function limitOf(frame: Fields): string {
	return name(frame.limit_name) ?? name(frame.metered_limit_name) ?? name(frame.limit_id) ?? "codex";
}

/** The outcome of an error frame: its status, the headers in it, and the error without them. */
function failure(error: unknown, frame: Fields): Outcome {
	const headers = Object.entries((frame.headers as object | null | undefined) ?? {}).map(
		([key, value]): [string, string] => [key.toLowerCase(), String(value)],
	);
	const status = [frame.status, frame.status_code, field(error, "status"), field(error, "status_code")];
	const http = status.map(Number).find((code) => code >= 100 && code <= 999);
	return {
		http_status: count(http),
		request_id: requestId((key) => new Map(headers).get(key)),
		error: scrub(JSON.stringify({ error })),
		headers: allowedHeaders(headers),
	};
}

function report(state: State, answer: Answer, url: URL, headers: Headers | undefined, outcome: Outcome): void {
	const { session, provider } = answer.context;
	const credential = loginAccount(provider, headers && credentialOf(headers));
	const identity = { account: chatgptAccount(headers), credential };
	noteIdentity(session, name(provider), identity, new Headers());
	const fits = answer.limits && JSON.stringify(answer.limits).length <= MAX_FRAME;
	send(state, {
		kind: "capture",
		...origin(state, session),
		...attribute(state, answer.context, [], undefined),
		...identity,
		via: "stream",
		origin: name(url.origin),
		key_shape: keyShape(headers && credentialOf(headers)),
		elapsed_ms: elapsed(answer.started),
		...outcome,
		frame: fits ? answer.limits : undefined,
	});
	if (outcome.error && outcome.error !== CLOSED) noteCapturedError(state, answer.context);
}
