/** Captures responses: by observing `fetch`, from pi's header event, and from frames of a WebSocket stream. */

import { type Attribution, attribute, attributeToSession, basesOf, goesToModel } from "./attribution.ts";
import { chatgptAccount, hashOfKey, type Identity, noteIdentity, requestHeaders } from "./identity.ts";
import { type Capture, HEADERS } from "./schema.ts";
import { isNew, origin, type PendingRequest, type Session, type State, send } from "./state.ts";
import { count, field, name, quietly, scrub } from "./values.ts";

const MAX_HEADER = 1024;
const MAX_HEADERS = 16 * 1024;
const DENIED = /cookie|authorization|api-key/;
const REQUEST_IDS = ["request-id", "x-request-id", "x-oai-request-id", "x-amzn-requestid", "x-ds-trace-id"];
const FRAME_FIELDS = ["type", "plan_type", "rate_limits", "credits", "metered_limit_name"];

type KeyShape = NonNullable<Capture["key_shape"]>;
type Outcome = Pick<Capture, "http_status" | "request_id" | "error" | "headers">;

/** The headers that may be sent, bounded. */
function allowedHeaders(headers: Iterable<[string, string]>): Record<string, string> {
	const allowed: Record<string, string> = {};
	let room = MAX_HEADERS;
	for (const [key, value] of headers) {
		const header = key.toLowerCase();
		if (DENIED.test(header) || !HEADERS.some((prefix) => header.startsWith(prefix))) continue;
		const text = value.slice(0, MAX_HEADER);
		room -= header.length + text.length;
		if (room < 0) break;
		allowed[header] = text;
	}
	return allowed;
}

/** The provider's id of the request, by which a response seen in two ways is recognised. */
function requestId(header: (name: string) => unknown): string | undefined {
	for (const key of REQUEST_IDS) {
		const id = name(header(key));
		if (id) return id;
	}
	return undefined;
}

/** The kind of credential a request carries. The credential itself is not stored. */
function keyShape(headers: Headers): KeyShape | undefined {
	const key = headers.get("x-api-key") ?? headers.get("authorization") ?? headers.get("x-goog-api-key");
	if (!key) return undefined;
	if (key.includes("sk-ant-oat")) return "ant-oat";
	return key.includes("sk-ant-api") ? "ant-api" : "other";
}

/** What a request says of its account. A key counts only where it is known to be configured. */
function identify(
	session: Session | undefined,
	provider: Attribution["provider"],
	headers: Headers | undefined,
): Identity {
	const account = chatgptAccount(headers);
	const isKey = !account && provider && quietly(() => session?.isLogin?.(provider)) === false;
	return { account, credential: isKey ? hashOfKey(headers) : undefined };
}

/**
 * Decides before a request leaves whether it is captured; most are not. With a context it is if it goes to the model's
 * host: handlers of other extensions run in that context too, and may send to any host. Without one it is if it is a POST
 * (a catalog is a GET) under a base URL that pi knows. Token endpoints never are.
 */
export function beforeRequest(state: State, request: Parameters<typeof fetch>): PendingRequest | undefined {
	const [input, init] = request;
	const object = typeof input === "object" && "url" in input ? input : undefined;
	const { href, origin: host, pathname } = new URL(object?.url ?? String(input));
	if (/\/(oauth2?|token)(\/|$)/.test(pathname)) return undefined;
	const context = state.contexts.getStore();
	const isPost = (init?.method ?? object?.method ?? "GET").toUpperCase() === "POST";
	const wanted = context ? goesToModel(context, host, isPost) : isPost && basesOf(state, href, host).length > 0;
	if (!wanted) return undefined;
	const session = (context?.session && state.sessions.get(context.session)) || state.latest;
	const headers = quietly(() => requestHeaders(request));
	const shape = headers && quietly(() => keyShape(headers));
	const attribution = () => attribute(state, context, session, basesOf(state, href, host));
	const identity = identify(session, attribution().provider, headers);
	const started = performance.now();
	const report = (outcome: Outcome) =>
		send(state, {
			kind: "capture",
			...origin(state, context?.session ?? session?.id),
			...attribution(),
			...identity,
			via: "fetch",
			origin: name(host),
			key_shape: shape,
			elapsed_ms: Math.max(0, Math.round((performance.now() - started) * 10) / 10),
			...outcome,
		});
	return {
		onResponse(response) {
			const id = requestId((key) => response.headers.get(key));
			if (id) state.requestIds.add(id);
			if (context) context.responses++;
			if (session) session.responses++;
			noteIdentity(context?.session ?? session?.id, attribution().provider, identity, response.headers);
			report({ http_status: response.status, request_id: id, headers: allowedHeaders(response.headers) });
		},
		onError(error) {
			const code = field(field(error, "cause"), "code") ?? field(error, "code");
			const reason = typeof code === "string" ? code : field(error, "name");
			report({ error: scrub(reason) ?? "error", headers: {} });
		},
	};
}

/** Replaces `fetch` by a function that returns the very promise of the original, and looks at its outcome. */
export function observeFetch(state: State): void {
	state.beforeRequest = (request) => beforeRequest(state, request);
	if (state.observing) return;
	state.observing = true;
	const original = globalThis.fetch;
	globalThis.fetch = function fetch(
		this: unknown,
		...request: Parameters<typeof original>
	): ReturnType<typeof original> {
		const pending = quietly(() => state.beforeRequest(request));
		const promise = Reflect.apply(original, this, request);
		if (pending) {
			quietly(() =>
				promise.then(
					(response) => quietly(() => pending.onResponse(response)),
					(error: unknown) => quietly(() => pending.onError(error)),
				),
			);
		}
		return promise;
	};
}

/**
 * pi's own header event, for APIs that do not use `fetch` (bedrock). It is skipped if the fetch observer captured the
 * response: the same request id, or a response in the same context, or, without a context, since the session's last
 * request began.
 */
export function onHeaderEvent(state: State, session: Session, event: unknown): void {
	const context = state.contexts.getStore();
	const headers: Record<string, unknown> = { ...(field(event, "headers") as object | undefined) };
	const id = requestId((key) => headers[key]);
	if (id ? !state.requestIds.add(id) : (context ?? session).responses > 0) return;
	if (context && context.responses > 0) return;
	send(state, {
		kind: "capture",
		...origin(state, session.id),
		...(context ? attribute(state, context, session, []) : attributeToSession(session.context)),
		via: "event",
		http_status: count(field(event, "status")),
		request_id: id,
		headers: allowedHeaders(Object.entries(headers).map(([key, value]) => [key, String(value)])),
	});
}

/** A frame of a Codex WebSocket. It has no response headers: the quota is in a frame, of which known fields are sent. */
export function onFrame(state: State, session: Session, event: unknown): void {
	const data = field(event, "data");
	if (field(data, "type") !== "codex.rate_limits" || !isNew(state, data)) return;
	const frame = Object.fromEntries(FRAME_FIELDS.map((key) => [key, field(data, key)]));
	if (JSON.stringify(frame).length > MAX_HEADERS) return;
	const [provider, model, api] = ["provider", "model", "api"].map((key) => name(field(event, key)));
	const attribution: Attribution["attribution"] = state.contexts.getStore() ? "wrapper" : "model";
	send(state, {
		kind: "capture",
		...origin(state, session.id),
		provider,
		model,
		api,
		attribution,
		via: "stream",
		frame,
		headers: {},
	});
}
