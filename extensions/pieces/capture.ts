/** What one response says, and how it is seen: by observing `fetch`, by pi's header event, in a frame of a stream. */

import {
	type Base,
	born,
	type Capture,
	count,
	type Flight,
	field,
	first,
	HEADERS,
	name,
	quietly,
	type Session,
	type State,
	scrubbed,
	send,
} from "../tokmon.ts";

// <piece capture>
// ---------------------------------------------------------------- captures

const MAX_HEADER = 1024;
const MAX_HEADERS = 16 * 1024;
const DENIED = /cookie|authorization|api-key/;

/** What was known when a request left, until its response is seen. */
interface Note {
	flight: Flight | undefined;
	session: Session | undefined;
	url: string;
	origin: string;
	keyShape: KeyShape | undefined;
	started: number;
}

type KeyShape = NonNullable<Capture["key_shape"]>;
type Whose = Pick<Capture, "provider" | "model" | "api" | "attribution">;

function allowed(headers: Iterable<[string, string]>): Record<string, string> {
	const kept: Record<string, string> = {};
	let room = MAX_HEADERS;
	for (const [given, value] of headers) {
		const header = given.toLowerCase();
		if (DENIED.test(header) || !HEADERS.some((prefix) => header.startsWith(prefix))) continue;
		const cut = value.slice(0, MAX_HEADER);
		room -= header.length + cut.length;
		if (room < 0) break;
		kept[header] = cut;
	}
	return kept;
}

/** The id that a provider gave a request, by which one response is told from another. */
function requestId(header: (header: string) => unknown): string | undefined {
	for (const each of ["request-id", "x-request-id", "x-oai-request-id", "x-amzn-requestid", "x-ds-trace-id"]) {
		const id = name(header(each));
		if (id) return id;
	}
	return undefined;
}

/** Which sort of credential a request carries. The credential itself is looked at here and nowhere kept. */
function keyShape([input, init]: Parameters<typeof fetch>): KeyShape | undefined {
	const given = init?.headers ?? (typeof input === "object" && "headers" in input ? input.headers : undefined);
	const headers = new Headers(given);
	const key = headers.get("x-api-key") ?? headers.get("authorization") ?? headers.get("x-goog-api-key");
	if (!key) return undefined;
	if (key.includes("sk-ant-oat")) return "ant-oat";
	return key.includes("sk-ant-api") ? "ant-api" : "other";
}

/** Whether `url` lies under `base`, at a border between path segments. */
function under(url: string, base: string): boolean {
	return url.startsWith(base) && (base.endsWith("/") || [undefined, "/", "?", "#", ":"].includes(url[base.length]));
}

/**
 * Looks at a request before it leaves, cheaply: most are none of ours. Inside the wrapper's context it is one if it goes
 * where the model lives: handlers of other extensions run there too, and ask whom they like. Outside, it is one if it is
 * a POST (a catalog is a GET) under the base URL of a model that pi knows. A token endpoint never is.
 */
function notice(state: State, request: Parameters<typeof fetch>): Note | undefined {
	const [input, init] = request;
	const asked = typeof input === "object" && "url" in input ? input : undefined;
	const { href: url, origin, pathname } = new URL(asked?.url ?? String(input));
	if (/\/(oauth2?|token)(\/|$)/.test(pathname)) return undefined;
	const flight = state.flights.getStore();
	const posts = (init?.method ?? asked?.method ?? "GET").toUpperCase() === "POST";
	const known = flight ? livesAt(flight, origin, posts) : posts && basesOf(state, url, origin).length > 0;
	if (!known) return undefined;
	const session = (flight?.session && state.sessions.get(flight.session)) || state.latest;
	return { flight, session, url, origin, keyShape: quietly(() => keyShape(request)), started: performance.now() };
}

/** Some models have no base URL, or one with a `{place}` to fill in: every POST may be theirs. */
function livesAt(flight: Flight, origin: string, posts: boolean): boolean {
	const home = flight.baseUrl.includes("{") ? undefined : quietly(() => new URL(flight.baseUrl).origin);
	return home ? home === origin : posts;
}

function basesOf(state: State, url: string, origin: string): Base[] {
	return (state.bases.get(origin) ?? []).filter((base) => under(url, base.url));
}

/** Wrapped requests know whose they are; of the others, the base URL may tell, or else the session's model. */
function whose(state: State, { flight, session, url, origin }: Note): Whose {
	if (flight) return { ...named(flight), attribution: "wrapper" };
	let found = basesOf(state, url, origin);
	for (const better of [(base: Base) => base.available, (base: Base) => !state.wrapped.has(base.provider)]) {
		const some = found.filter(better);
		if (some.length > 0) found = some;
	}
	const current = session?.flight;
	const providers = new Set(found.map((base) => base.provider));
	const [only] = providers;
	if (current && only === current.provider && providers.size === 1) return { ...named(current), attribution: "url" };
	if (only && providers.size === 1) return { provider: name(only), attribution: "url" };
	return current && providers.has(current.provider)
		? { ...named(current), attribution: "model" }
		: { attribution: "none" };
}

function named(flight: Flight): Pick<Capture, "provider" | "model" | "api"> {
	return { provider: name(flight.provider), model: name(flight.model), api: name(flight.api) };
}

function report(
	state: State,
	note: Note,
	seen: Pick<Capture, "http_status" | "request_id" | "error" | "headers">,
): void {
	send(state, {
		kind: "capture",
		...born(state, note.flight?.session ?? note.session?.id),
		...whose(state, note),
		via: "fetch",
		origin: name(note.origin),
		key_shape: note.keyShape,
		elapsed_ms: Math.max(0, Math.round((performance.now() - note.started) * 10) / 10),
		...seen,
	});
}

function answered(state: State, note: Note, response: Response): void {
	const id = requestId((each) => response.headers.get(each));
	if (id) state.requests.add(id);
	if (note.flight) note.flight.responses++;
	if (note.session) note.session.responses++;
	report(state, note, { http_status: response.status, request_id: id, headers: allowed(response.headers) });
}

function failed(state: State, note: Note, error: unknown): void {
	const code = field(field(error, "cause"), "code") ?? field(error, "code");
	const why = typeof code === "string" ? code : field(error, "name");
	report(state, note, { error: scrubbed(why) ?? "error", headers: {} });
}

/** Puts our function in place of `fetch`. Its answer is the very promise that the original gave. */
function observe(state: State): void {
	if (state.observing) return;
	state.observing = true;
	const original = globalThis.fetch;
	globalThis.fetch = function fetch(
		this: unknown,
		...request: Parameters<typeof original>
	): ReturnType<typeof original> {
		const note = quietly(() => state.notice(request));
		const answer = Reflect.apply(original, this, request);
		if (note) {
			quietly(() =>
				answer.then(
					(response) => quietly(() => answered(state, note, response)),
					(error: unknown) => quietly(() => failed(state, note, error)),
				),
			);
		}
		return answer;
	};
}

/**
 * pi's own header event, for APIs that do not use `fetch` (bedrock). One response, one capture: it is passed over when
 * fetch has seen a response in the same wrapper context, or with the same request id, or, where there is neither, since
 * the session's last request began.
 */
function told(state: State, session: Session, status: unknown, given: unknown): void {
	const flight = state.flights.getStore();
	const headers: Record<string, unknown> = { ...(typeof given === "object" ? given : undefined) };
	const id = requestId((each) => headers[each]);
	if (id ? !state.requests.add(id) : (flight ?? session).responses > 0) return;
	if (flight && flight.responses > 0) return;
	const whom: Whose = flight
		? { ...named(flight), attribution: "wrapper" }
		: session.flight
			? { ...named(session.flight), attribution: "model" }
			: { attribution: "none" };
	send(state, {
		kind: "capture",
		...born(state, session.id),
		...whom,
		via: "event",
		http_status: count(status),
		request_id: id,
		headers: allowed(Object.entries(headers).map(([header, value]) => [header, String(value)])),
	});
}

/** A frame of a Codex WebSocket, which has no response headers: the quota comes inside. Only its known parts are sent. */
function framed(state: State, session: Session, data: unknown, from: Omit<Whose, "attribution">): void {
	if (field(data, "type") !== "codex.rate_limits" || !first(state, data)) return;
	const parts = ["type", "plan_type", "rate_limits", "credits", "metered_limit_name"];
	const frame = Object.fromEntries(parts.map((part) => [part, field(data, part)]));
	if (JSON.stringify(frame).length > MAX_HEADERS) return;
	const attribution = state.flights.getStore() ? "wrapper" : "model";
	send(state, { kind: "capture", ...born(state, session.id), ...from, attribution, via: "stream", frame, headers: {} });
}
// </piece capture>

export { framed, type Note, notice, observe, told };
