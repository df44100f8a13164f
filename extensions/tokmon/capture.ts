/** Captures responses: by observing `fetch`, and from pi's header event. */

import {
	type Attribution,
	attribute,
	attributeToSession,
	basesOf,
	goesToModel,
	learnCredential,
} from "./attribution.ts";
import { chatgptAccount, credentialOf, hashOfKey, type Identity, noteIdentity, requestHeaders } from "./identity.ts";
import { loginAccount } from "./login.ts";
import { sendResponse } from "./refusals.ts";
import { type Capture, HEADERS } from "./schema.ts";
import { idWithoutSecrets, rememberSecrets, withoutSecrets } from "./secrets.ts";
import { type Call, origin, type PendingRequest, type Session, type State } from "./state.ts";
import { count, field, name, quietly, scrub } from "./values.ts";

const MAX_HEADER = 1024;
const MAX_HEADERS = 16 * 1024;
const DENIED = /cookie|authorization|api-key/;
const REQUEST_IDS = ["request-id", "x-request-id", "x-oai-request-id", "x-amzn-requestid", "x-ds-trace-id"];

type KeyShape = NonNullable<Capture["key_shape"]>;
type Outcome = Pick<Capture, "http_status" | "request_id" | "error" | "headers">;

/** The headers that may be sent, bounded. */
export function allowedHeaders(headers: Iterable<[string, string]>): Record<string, string> {
	const allowed: Record<string, string> = {};
	let room = MAX_HEADERS;
	for (const [key, value] of headers) {
		const header = key.toLowerCase();
		if (DENIED.test(header) || !HEADERS.some((prefix) => header.startsWith(prefix))) continue;
		const text = withoutSecrets(value).slice(0, MAX_HEADER);
		room -= header.length + text.length;
		if (room < 0) break;
		allowed[header] = text;
	}
	return allowed;
}

/** The provider's id of the request, by which a response seen in two ways is recognised. */
export function requestId(header: (name: string) => unknown): string | undefined {
	for (const key of REQUEST_IDS) {
		const id = idWithoutSecrets(name(header(key)));
		if (id) return id;
	}
	return undefined;
}

/** The kind of credential a request carries. The credential itself is not stored. */
export function keyShape(credential: string | undefined): KeyShape | undefined {
	if (!credential) return undefined;
	if (credential.includes("sk-ant-oat")) return "ant-oat";
	return credential.includes("sk-ant-api") ? "ant-api" : "other";
}

/** What a request says of its account. A key counts only where it is configured, a login where its account is named. */
function identify(
	session: Session | undefined,
	provider: Attribution["provider"],
	account: string | undefined,
	credential: string | undefined,
): Identity {
	if (!provider) return { account, credential: undefined };
	const isKey = quietly(() => session?.isLogin?.(provider)) === false;
	if (isKey) return { account, credential: account ? undefined : hashOfKey(credential) };
	return { account, credential: loginAccount(provider, credential) };
}

/**
 * Decides before a request leaves whether it is captured; most are not. It is if it is a POST (a catalog or a usage page
 * is a GET) below the base URL of the model that its context names: handlers of other extensions run in that context too,
 * and may send anything anywhere. Without a context it is if it is a POST below a base URL that pi knows. Token endpoints
 * never are.
 */
export function beforeRequest(state: State, request: Parameters<typeof fetch>): PendingRequest | undefined {
	quietly(() => rememberSecrets(request));
	const [input, init] = request;
	const object = typeof input === "object" && "url" in input ? input : undefined;
	if ((init?.method ?? object?.method ?? "GET").toUpperCase() !== "POST") return undefined;
	const url = new URL(object?.url ?? String(input));
	if (/\/(oauth2?|token)(\/|$)/.test(url.pathname)) return undefined;
	const context = state.contexts.getStore();
	const bases = context ? [] : basesOf(state, url);
	if (context ? !goesToModel(context, url) : bases.length === 0) return undefined;
	const session = (context?.session && state.sessions.get(context.session)) || state.latest;
	const headers = quietly(() => requestHeaders(request));
	const credential = headers && credentialOf(headers);
	if (context && credential) quietly(() => learnCredential(state, context.provider, credential));
	const attribution = () => attribute(state, context, bases, credential);
	const account = chatgptAccount(headers);
	const identity = identify(session, attribution().provider, account, credential);
	const started = performance.now();
	const report = (outcome: Outcome) =>
		sendResponse(state, context, {
			kind: "capture",
			...origin(state, context?.session ?? session?.id),
			...attribution(),
			...identity,
			via: "fetch",
			origin: name(url.origin),
			key_shape: keyShape(credential),
			elapsed_ms: elapsed(started),
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

/** Milliseconds since an instant of `performance.now()`. */
export function elapsed(started: number): number {
	return Math.max(0, Math.round((performance.now() - started) * 10) / 10);
}

/**
 * Puts our `fetch` in place, again if another extension has replaced it or put an older one back. Ours may then be there
 * twice, one inside the other.
 */
export function observeFetch(state: State): void {
	const current = globalThis.fetch;
	if (typeof current !== "function" || current === state.fetch) return;
	state.fetch = observedFetch(state, current);
	globalThis.fetch = state.fetch;
}

/**
 * A `fetch` that returns the very promise of the original, and looks at its outcome. If an observer further inside captures
 * the same request, this one does not: a `fetch` between them may ask more than once.
 */
export function observedFetch(state: State, original: typeof fetch): typeof fetch {
	return function fetch(this: unknown, ...request: Parameters<typeof original>): ReturnType<typeof original> {
		const pending = quietly(() => state.beforeRequest(request));
		if (!pending) return Reflect.apply(original, this, request);
		const call: Call = { context: state.contexts.getStore(), captured: false };
		const outer = state.calls.getStore();
		if (outer && outer.context === call.context) outer.captured = true;
		const promise = state.calls.run(call, () => Reflect.apply(original, this, request));
		quietly(() =>
			promise.then(
				(response) => call.captured || quietly(() => pending.onResponse(response)),
				(error: unknown) => call.captured || quietly(() => pending.onError(error)),
			),
		);
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
	const attribution = context ? attribute(state, context, [], undefined) : attributeToSession(session.context);
	const identity = identify(session, attribution.provider, undefined, context?.credential);
	noteIdentity(session.id, attribution.provider, identity, new Headers());
	sendResponse(state, context, {
		kind: "capture",
		...origin(state, session.id),
		...attribution,
		...identity,
		via: "event",
		http_status: count(field(event, "status")),
		request_id: id,
		headers: allowedHeaders(Object.entries(headers).map(([key, value]) => [key, String(value)])),
	});
}
