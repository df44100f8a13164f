/** What the extension remembers for as long as the process runs, and the events that it sends. */

import { AsyncLocalStorage } from "node:async_hooks";
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import { hostname, userInfo } from "node:os";
import { dirname, join } from "node:path";
import { Outbox } from "./outbox.ts";
import type { Refusals } from "./refusals.ts";
import { type Capture, type Hello, MAX_LINE, PROTOCOL, type Usage, VERSION } from "./schema.ts";
import { field, name, quietly, RecentKeys, scrub } from "./values.ts";

/** The model that a request is for, and the session that made it. */
export interface RequestContext {
	provider: string;
	model: string;
	api: string;
	baseUrl: string;
	session: string | undefined;
	/** Responses that the fetch observer saw within this context. */
	responses: number;
	/** The key that pi passes to what sends the request. */
	credential?: string;
	/** What the sender returned: `result()` is the final message. */
	stream?: unknown;
	refusals?: Refusals;
}

/** One session of pi in this process. */
export interface Session {
	id: string | undefined;
	/** Its current model; undefined if none is selected. */
	context: RequestContext | undefined;
	/** How many of its entries have been read for usage. */
	entries: number;
	/** Responses that the fetch observer saw since the last `before_provider_request`. */
	responses: number;
	/** True while it summarises: pi bills those requests in an entry. */
	summarizing: boolean;
	/** Whether a provider is used by a login, whose token pi renews. */
	isLogin?: (provider: string) => unknown;
}

/** One call of `fetch` that is being captured. */
export interface Call {
	context: RequestContext | undefined;
	/** True if an observer further inside captures the same request. */
	captured: boolean;
}

/** What to do with the outcome of a request that is being captured. */
export interface PendingRequest {
	onResponse(response: Response): void;
	onError(error: unknown): void;
}

/** The base URL of a model that pi knows. */
export interface Base {
	url: string;
	provider: string;
	available: boolean;
}

/**
 * Shared by all sessions of the process, and kept across `/reload`, so that `fetch` is wrapped once. Functions of an
 * older load may still use it: if a field changes its meaning, change the number in SLOT and add the old slot to RETIRED.
 */
export interface State {
	contexts: AsyncLocalStorage<RequestContext>;
	/** Called before each request of the process. Each load replaces it, so that the newest code is used. */
	beforeRequest: (request: Parameters<typeof fetch>) => PendingRequest | undefined;
	/** Our `fetch`, as it was put in place last. Another extension may have replaced it since. */
	fetch: typeof fetch | undefined;
	calls: AsyncLocalStorage<Call>;
	/** Called with each new WebSocket, and our constructor, as with `fetch`. */
	onSocket: (socket: object, url: string, options: unknown) => void;
	socket: unknown;
	/** Requests sent over WebSockets. */
	sends: number;
	/** By origin: the base URLs of all models that pi knows. */
	bases: Map<string, Base[]>;
	/** How many models that were. */
	models: number;
	/** Called with the result of each request that pi does not bill itself. */
	onResult: (context: RequestContext, model: unknown, result: unknown) => void;
	/** By hash of a credential that a provider used: that provider; undefined if several used it. */
	credentials: Map<string, string | undefined>;
	salt: Buffer;
	/** `getApiProviders` of pi-ai, in versions of pi without a method per provider. */
	apiProviders: (() => unknown) | undefined;
	requestIds: RecentKeys;
	usageKeys: RecentKeys;
	/** Refusals that wait for the text of their error. */
	waiting: Set<Refusals>;
	/** Messages whose error text is in a capture. */
	capturedErrors: WeakSet<object>;
	/** Messages and sockets that were handled: some versions of pi load an extension twice. */
	handled: WeakSet<object>;
	outbox: Outbox;
	nonce: string;
	serial: number;
	member: string | undefined;
	host: string | undefined;
	/** Of tokmon and of pi. */
	version: string;
	pi: string | undefined;
	/** The session that was active last. */
	latest: Session | undefined;
	sessions: Map<string, Session>;
}

const SLOT = Symbol.for("tokmon.capture.v3");
const RETIRED = [Symbol.for("tokmon.capture.v1"), Symbol.for("tokmon.capture.v2")];

type Slots = typeof globalThis & { [slot: symbol]: unknown };

/** The state of this process, made by whichever load comes first. */
export function sharedState(): State {
	const slots = globalThis as Slots;
	const existing = slots[SLOT];
	if (existing) return existing as State;
	const nonce = randomBytes(12).toString("base64url");
	const state: State = {
		contexts: new AsyncLocalStorage(),
		beforeRequest: () => undefined,
		fetch: undefined,
		calls: new AsyncLocalStorage(),
		onSocket: () => undefined,
		socket: undefined,
		sends: 0,
		bases: new Map(),
		models: 0,
		onResult: () => undefined,
		credentials: new Map(),
		salt: randomBytes(32),
		apiProviders: undefined,
		requestIds: new RecentKeys(),
		usageKeys: new RecentKeys(),
		waiting: new Set(),
		capturedErrors: new WeakSet(),
		handled: new WeakSet(),
		outbox: new Outbox(nonce, () => hello(state)),
		nonce,
		serial: 0,
		member: quietly(() => name(process.env.TOKMON_MEMBER) ?? name(userInfo().username)),
		host: quietly(() => name(hostname())),
		version: VERSION,
		pi: undefined,
		latest: undefined,
		sessions: new Map(),
	};
	slots[SLOT] = state;
	process.once("exit", () => {
		releaseRefusals(state);
		quietly(() => state.outbox.spoolAll());
	});
	return state;
}

/** Sends the refusals that wait for a text, as they are. */
export function releaseRefusals(state: State): void {
	for (const refusals of [...state.waiting]) quietly(() => refusals.release());
}

/**
 * Stops an older tokmon that this process loaded before an upgrade, or loads as well: nothing is captured twice. What it
 * has in its queue is sent or spooled. All that it captures goes through `outbox.add`, whatever its version.
 */
export function retireOlder(): void {
	for (const slot of RETIRED) {
		const outbox = field((globalThis as Slots)[slot], "outbox");
		const close = field(outbox, "close");
		if (!(outbox instanceof Object) || Object.hasOwn(outbox, "add") || typeof close !== "function") continue;
		Object.assign(outbox, { add: () => {}, start: () => {} });
		quietly(() => Reflect.apply(close, outbox, []));
	}
}

/** Whether this object was not handled before. */
export function isNew(state: State, value: unknown): boolean {
	if (typeof value !== "object" || value === null) return true;
	if (state.handled.has(value)) return false;
	state.handled.add(value);
	return true;
}

/** The version of the pi that runs us, from its package.json: importing it from pi might fail and end pi. */
export function piVersion(): string | undefined {
	for (const start of [process.argv[1], process.execPath]) {
		let folder = quietly(() => dirname(fs.realpathSync(start ?? "")));
		for (let level = 0; folder && level < 4; level++, folder = dirname(folder)) {
			const file = join(folder, "package.json");
			const content: unknown = quietly(() => JSON.parse(fs.readFileSync(file, "utf8")));
			if (String(field(content, "name")).endsWith("pi-coding-agent")) return name(field(content, "version"));
		}
	}
	return undefined;
}

function hello({ version, pi }: State): string {
	const line: Hello = { kind: "hello", protocol: PROTOCOL, name: "tokmon.ts", version, pi, pid: process.pid };
	return `${JSON.stringify(line)}\n`;
}

type Origin = Pick<Capture, "id" | "ts" | "session" | "member" | "host" | "pi" | "mission">;

/** The fields that every event has. */
export function origin(state: State, session: string | undefined): Origin {
	return {
		id: `${state.nonce}-${(state.serial++).toString(36)}`,
		ts: new Date().toISOString(),
		session: name(session),
		member: state.member,
		host: state.host,
		pi: state.pi,
		mission: scrub(process.env.TOKMON_MISSION, 200),
	};
}

export function send(state: State, event: Capture | Usage): void {
	let line = `${JSON.stringify(event)}\n`;
	if (Buffer.byteLength(line) > MAX_LINE && event.kind === "capture") {
		line = `${JSON.stringify({ ...event, headers: {}, frame: undefined })}\n`;
	}
	state.outbox.add(line);
}
