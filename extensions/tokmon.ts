/**
 * tokmon: tells the quota sidecar about every response that pi receives.
 *
 * It observes `fetch` (every status, every attempt) and pi's events, and writes one line per response to a Unix
 * socket; what nobody takes goes to a spool. It never writes to the terminal, never waits on the network in a turn,
 * never touches a body, and no credential, prompt or reply leaves the process.
 *
 * Made by `tokmon extension`: the regions between the `generated` marks are rendered for a pi version from the wire
 * schema, the table of families and `extensions/pieces/`. Everything else is written here. TOKMON_DISABLE=1 turns it off.
 */

import { AsyncLocalStorage } from "node:async_hooks";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import { createConnection, type Socket } from "node:net";
import { homedir, hostname, userInfo } from "node:os";
import { dirname, join } from "node:path";

// <generated imports>
import type { ExtensionAPI, ExtensionContext } from "@earendil-works/pi-coding-agent";
// </generated imports>

// <generated wire>
const VERSION = "0.1.0";
const PROTOCOL = 1;
const MAX_LINE = 65536;
const MAX_TEXT = 2000;
const CHANGING = [
	"id",
	"ts",
	"request_id",
	"elapsed_ms",
	"response_id",
	"entry",
	"stop",
	"tokens",
	"cost_usd",
	"cost_source",
	"duration_ms",
];

interface Hello {
	kind: "hello";
	protocol: number;
	name?: string;
	version?: string;
	pi?: string | null;
	pid?: number | null;
}

interface Capture {
	kind: "capture";
	id: string;
	ts: string;
	provider?: string | null;
	model?: string | null;
	api?: string | null;
	session?: string | null;
	member?: string | null;
	host?: string | null;
	pi?: string | null;
	mission?: string | null;
	attribution?: "model" | "none" | "url" | "wrapper";
	via?: "event" | "fetch" | "stream";
	origin?: string | null;
	key_shape?: "ant-api" | "ant-oat" | "other" | null;
	http_status?: number | null;
	request_id?: string | null;
	elapsed_ms?: number | null;
	error?: string | null;
	frame?: unknown;
	headers?: unknown;
}

interface Tokens {
	input?: number | null;
	output?: number | null;
	cache_read?: number | null;
	cache_write?: number | null;
	cache_write_1h?: number | null;
	reasoning?: number | null;
	total?: number | null;
}

interface Usage {
	kind: "usage";
	id: string;
	ts: string;
	provider?: string | null;
	model?: string | null;
	api?: string | null;
	session?: string | null;
	member?: string | null;
	host?: string | null;
	pi?: string | null;
	mission?: string | null;
	what?: "assistant" | "branch_summary" | "cache_warm" | "compaction" | "other" | "tool_result";
	response_model?: string | null;
	response_id?: string | null;
	entry?: string | null;
	stop?: string | null;
	error?: string | null;
	tokens?: Tokens | null;
	cost_usd?: number | null;
	cost_source?: "billed" | "estimated" | "unknown";
	duration_ms?: number | null;
}
// </generated wire>

// <generated headers>
const HEADERS = [
	"anthropic-fast-",
	"anthropic-organization-id",
	"anthropic-priority-",
	"anthropic-ratelimit-input-tokens-",
	"anthropic-ratelimit-output-tokens-",
	"anthropic-ratelimit-requests-",
	"anthropic-ratelimit-tokens-",
	"anthropic-ratelimit-unified-",
	"cf-aig-",
	"exedev-gateway-cost",
	"fireworks-cached-prompt-tokens",
	"fireworks-prompt-tokens",
	"llm_provider-anthropic-ratelimit-",
	"llm_provider-retry-after",
	"llm_provider-x-codex-",
	"llm_provider-x-ratelimit-",
	"openai-organization",
	"openai-processing-ms",
	"openai-project",
	"ratelimit",
	"ratelimitbysize-",
	"retry-after",
	"retry-after-ms",
	"x-admission-",
	"x-codex-",
	"x-concurrent-limit-",
	"x-gemini-service-tier",
	"x-groq-region",
	"x-litellm-",
	"x-ms-region",
	"x-quota-snapshot-",
	"x-ratelimit-",
	"x-ratelimit-exceeded",
	"x-ratelimit-user-retry-after",
	"x-ratelimitbysize-",
	"x-should-retry",
	"x-tokenlimit-",
	"x-tpm-limit-",
	"x-usage-ratelimit-",
];
// </generated headers>

// <generated secrets>
const PATTERNS = [
	"\\bsk-[A-Za-z0-9_-]{8,}",
	"\\beyJ[A-Za-z0-9_-]{8,}\\.[A-Za-z0-9_.-]*",
	"\\bxai-[A-Za-z0-9_-]{8,}",
	"\\bAIza[A-Za-z0-9_-]{16,}",
	"\\bya29\\.[A-Za-z0-9_-]{8,}",
	"\\bgsk_[A-Za-z0-9]{8,}",
	"\\bgh[a-z]_[A-Za-z0-9]{16,}",
	"\\b(?:csk|fw|pplx|hf|r8|nvapi|tgp)[-_][A-Za-z0-9_-]{16,}",
	"\\b(?:AKIA|ASIA)[A-Z0-9]{12,}",
	"\\b[Bb]earer +[A-Za-z0-9._~+/=-]{8,}",
	"\\b[Bb]asic +[A-Za-z0-9+/=]{12,}",
	'://[^/\\s:@\\"]+:[^/\\s@\\"]+@',
	"\\b(?:api[_-]?key|access[_-]?token|refresh[_-]?token|client[_-]?secret|password|key)[\\\"']? *[=:] *[\\\"']?[^\\s\\\"'&,}]{8,}",
];
const SECRETS = new RegExp(PATTERNS.join("|"), "g");
const PLACEHOLDER = "[secret]";
// </generated secrets>

const MAX_NAME = 300;

/** A provider's model, and whom a request is for. Made by the wrapper provider; `responses` counts what fetch saw. */
interface Flight {
	provider: string;
	model: string;
	api: string;
	baseUrl: string;
	session: string | undefined;
	responses: number;
}

/** One session of pi in this process: its current model, and how far its entries have been counted. */
interface Session {
	id: string | undefined;
	flight: Flight | undefined;
	entries: number;
	/** What fetch saw since the last `before_provider_request`. */
	responses: number;
}

/** What survives /reload and /new: it hangs on globalThis, so `fetch` is wrapped once however often we are loaded. */
interface State {
	flights: AsyncLocalStorage<Flight>;
	/** Called by the wrapped fetch before each request; replaced by every load, so that a newer file takes over. */
	notice: (request: Parameters<typeof fetch>) => Note | undefined;
	observing: boolean;
	/** By origin: base URLs of the models that pi knows, with their provider. */
	bases: Map<string, Base[]>;
	/** Providers whose requests are always known to be theirs. */
	wrapped: Set<string>;
	requests: Recent;
	counted: Recent;
	/** Messages and frames that were seen: some versions of pi load an extension twice. */
	seen: WeakSet<object>;
	outbox: Outbox;
	nonce: string;
	serial: number;
	member: string | undefined;
	host: string | undefined;
	pi: string | undefined;
	latest: Session | undefined;
	sessions: Map<string, Session>;
}

interface Base {
	url: string;
	provider: string;
	available: boolean;
}

/** The last thousand things, to say whether one came before. */
class Recent {
	private readonly seen = new Set<string>();

	/** Whether it is new; it is not the next time. */
	add(thing: string): boolean {
		if (this.seen.has(thing)) return false;
		this.seen.add(thing);
		if (this.seen.size > 1000) {
			for (const oldest of this.seen) {
				this.seen.delete(oldest);
				break;
			}
		}
		return true;
	}

	has(thing: string): boolean {
		return this.seen.has(thing);
	}
}

/** Nothing that goes wrong here may reach pi. */
function quietly<T>(action: () => T): T | undefined {
	try {
		return action();
	} catch {
		return undefined;
	}
}

// ---------------------------------------------------------------- text

function clean(text: unknown, limit: number): string | undefined {
	if (typeof text !== "string" || text === "") return undefined;
	return text
		.slice(0, limit)
		.replace(/\p{Cc}/gu, " ")
		.replace(/\p{Surrogate}/gu, "\uFFFD");
}

function name(text: unknown): string | undefined {
	return clean(text, MAX_NAME);
}

/** A text without anything that looks like a secret. Scrubbed before it is cut: half a secret is one too. */
function scrubbed(text: unknown, limit = MAX_TEXT): string | undefined {
	if (typeof text !== "string") return undefined;
	return clean(text.slice(0, 4 * MAX_TEXT).replace(SECRETS, PLACEHOLDER), limit);
}

/** Whether this very object comes for the first time. */
function first(state: State, thing: unknown): boolean {
	if (typeof thing !== "object" || thing === null) return true;
	if (state.seen.has(thing)) return false;
	state.seen.add(thing);
	return true;
}

/** A property of something whose type says less than it holds, or nothing. */
function field(thing: unknown, key: string): unknown {
	return typeof thing === "object" && thing !== null ? (thing as Record<string, unknown>)[key] : undefined;
}

function amount(value: unknown): number | undefined {
	return typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : undefined;
}

function count(value: unknown): number | undefined {
	const found = amount(value);
	return found === undefined ? undefined : Math.round(found);
}

// <generated outbox>
// ---------------------------------------------------------------- where things lie: the rules of `tokmon.paths`

type Environment = Record<string, string | undefined>;

function absolute(path: string | undefined): string | undefined {
	return path?.startsWith("/") ? path : undefined;
}

function home(env: Environment): string {
	return env.HOME || homedir();
}

function stateFolder(env: Environment): string {
	return env.TOKMON_STATE_DIR || `${absolute(env.XDG_STATE_HOME) ?? `${home(env)}/.local/state`}/tokmon`;
}

function socketPaths(env: Environment): string[] {
	if (env.TOKMON_SOCKET) return [env.TOKMON_SOCKET];
	const runtime = absolute(env.XDG_RUNTIME_DIR) ?? `/run/user/${process.getuid?.() ?? 0}`;
	return [`${runtime}/tokmon/sock`, `${stateFolder(env)}/sock`];
}

function exists(path: string): boolean {
	return quietly(() => fs.lstatSync(path)) !== undefined;
}

/** Whether systemd listens for the sidecar, so that starting one is not our business. */
function supervised(env: Environment): boolean {
	const config = absolute(env.XDG_CONFIG_HOME) ?? `${home(env)}/.config`;
	return env.TOKMON_NO_SPAWN === "1" || exists(`${config}/systemd/user/sockets.target.wants/tokmon.socket`);
}

function startSidecar(env: Environment): void {
	const installed = `${home(env)}/.local/bin/tokmon`;
	const command = env.TOKMON_BIN || (exists(installed) ? installed : "tokmon");
	const child = spawn(command, ["sidecar", "--detach"], { detached: true, stdio: "ignore", cwd: "/" });
	child.on("error", () => {});
	child.unref();
}

// ---------------------------------------------------------------- spool

/** A folder of ours with nobody else in it; a link or somebody else's folder is refused. */
function privateFolder(path: string): string {
	fs.mkdirSync(path, { recursive: true, mode: 0o700 });
	const found = fs.lstatSync(path);
	if (!found.isDirectory() || found.uid !== process.getuid?.()) throw new Error("not a folder of this user");
	if ((found.mode & 0o077) !== 0) fs.chmodSync(path, 0o700);
	return path;
}

/** Maildir rules, since Node has no file locks: written in `tmp/`, renamed into `new/`. */
function spool(lines: string[], fileName: string): true {
	const folder = privateFolder(`${privateFolder(stateFolder(process.env))}/spool`);
	const [temporary, ready] = [privateFolder(`${folder}/tmp`), privateFolder(`${folder}/new`)];
	const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = fs.constants;
	const file = fs.openSync(`${temporary}/${fileName}`, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
	try {
		try {
			const bytes = Buffer.from(lines.join(""));
			for (let done = 0; done < bytes.length; ) done += fs.writeSync(file, bytes, done);
		} finally {
			fs.closeSync(file);
		}
		fs.renameSync(`${temporary}/${fileName}`, `${ready}/${fileName}`);
		return true;
	} catch (error) {
		// It is tried again under another name: on a full disk the halves would pile up.
		quietly(() => fs.unlinkSync(`${temporary}/${fileName}`));
		throw error;
	}
}

// ---------------------------------------------------------------- outbox

const MAX_EVENTS = 2000;
const MAX_BYTES = 8 * 1024 * 1024;
const MAX_UNSENT = 1024 * 1024; // bytes handed to a socket whose peer does not read
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 30_000;
const SPOOL_AFTER_MS = 2000;
const STALLED_MS = 1000;
const FAREWELL_MS = 200;

/** What says that no sidecar of ours is there. A full one (EAGAIN) is there. */
const ABSENT = "ENOENT ECONNREFUSED EACCES EPERM ENOTDIR EINVAL ENAMETOOLONG ELOOP".split(" ");

/** Events until the sidecar says that they are in its file. What it does not take in time is spooled. */
class Outbox {
	private readonly nonce: string;
	private readonly hello: () => string;
	private queue: string[] = [];
	private bytes = 0;
	/** How many of `queue` the present connection was given, and how many lines of it are dealt with. */
	private sent = 0;
	private acknowledged = 0;
	private socket: Socket | undefined;
	private connected = false;
	private heard = "";
	private retryMs = FIRST_RETRY_MS;
	private retryAt = 0;
	private timer: NodeJS.Timeout | undefined;
	private spoolTimer: NodeJS.Timeout | undefined;
	/** How long to wait before spooling, longer after each failure; and when it may be tried again. */
	private spoolMs = SPOOL_AFTER_MS;
	private spoolAt = 0;
	private stallTimer: NodeJS.Timeout | undefined;
	private mayStart = true;
	private open = false;
	private files = 0;
	private emptied: (() => void) | undefined;

	constructor(nonce: string, hello: () => string) {
		this.nonce = nonce;
		this.hello = hello;
	}

	start(): void {
		this.open = true;
		if (!this.socket) this.connect();
	}

	add(line: string): void {
		this.queue.push(line);
		this.bytes += Buffer.byteLength(line);
		if (this.full() && Date.now() >= this.spoolAt) this.spoolOldest(this.queue.length >> 1);
		while (this.full()) this.forget(1); // neither taken nor spooled
		if (this.connected) this.flush();
		else if (!this.socket && this.open) this.retry();
	}

	/** Wait a moment for what is not acknowledged yet, then spool it. Undefined where there is nothing to wait for. */
	close(): Promise<void> | undefined {
		this.open = false;
		if (this.queue.length === 0 || !this.socket) {
			this.end();
			return undefined;
		}
		return new Promise((resolve) => {
			const done = () => {
				clearTimeout(timer);
				this.emptied = undefined;
				quietly(() => this.end());
				resolve();
			};
			// The one timer that keeps the process alive: pi waits for this promise and nothing else may be left to run.
			const timer = setTimeout(done, FAREWELL_MS);
			this.emptied = done;
		});
	}

	/** Nothing may be lost that can be kept: called when the process exits, too. */
	spoolAll(): void {
		this.spoolOldest(this.queue.length);
	}

	private end(): void {
		clearTimeout(this.timer);
		this.timer = undefined;
		const socket = this.socket;
		const done = this.queue.length === 0;
		this.spoolAll();
		this.socket = undefined;
		this.connected = false;
		this.sent = 0;
		if (done) socket?.end();
		else socket?.destroy();
	}

	private full(): boolean {
		return this.queue.length > MAX_EVENTS || this.bytes > MAX_BYTES;
	}

	/** What cannot be written stays in the queue, and is tried again later. */
	private spoolOldest(howMany: number): void {
		clearTimeout(this.spoolTimer);
		this.spoolTimer = undefined;
		if (howMany === 0) return;
		const fileName = `${Date.now()}.${this.nonce}.${String(this.files++).padStart(6, "0")}.ndjson`;
		if (quietly(() => spool(this.queue.slice(0, howMany), fileName))) {
			this.forget(howMany);
			this.spoolMs = SPOOL_AFTER_MS;
			this.spoolAt = 0;
			return;
		}
		this.spoolAt = Date.now() + this.spoolMs;
		if (this.open && !this.connected) this.spoolTimer = later(this.spoolMs, () => this.spoolAll());
		this.spoolMs = Math.min(2 * this.spoolMs, LAST_RETRY_MS);
	}

	/** Take the oldest out of the queue. Those that were sent count as acknowledged: their turn has passed. */
	private forget(howMany: number): void {
		const oldest = this.queue.splice(0, howMany);
		for (const line of oldest) this.bytes -= Buffer.byteLength(line);
		const sent = Math.min(howMany, this.sent);
		this.sent -= sent;
		this.acknowledged += sent;
	}

	private connect(candidate = 0, absent = true): void {
		const path = socketPaths(process.env)[candidate];
		if (path === undefined) {
			this.unreachable(absent);
			return;
		}
		const socket = quietly(() => createConnection({ path }));
		if (!socket) {
			this.connect(candidate + 1, absent);
			return;
		}
		this.socket = socket;
		socket.unref();
		let missing = false;
		socket.on("error", (error: NodeJS.ErrnoException) => {
			missing = ABSENT.includes(error.code ?? "");
		});
		socket.on("connect", () => quietly(() => this.ready()));
		socket.on("drain", () => quietly(() => this.flush()));
		socket.on("data", (data: Buffer) => quietly(() => this.hear(data)));
		socket.on("close", () =>
			quietly(() => {
				if (this.socket !== socket) return;
				this.socket = undefined;
				if (this.connected) this.lost();
				else this.connect(candidate + 1, absent && missing);
			}),
		);
	}

	private ready(): void {
		this.connected = true;
		this.sent = 0;
		this.acknowledged = 0;
		this.heard = "";
		clearTimeout(this.spoolTimer);
		this.spoolTimer = undefined;
		this.socket?.write(this.hello());
		this.flush();
	}

	private flush(): void {
		const socket = this.socket;
		if (!socket || !this.connected) return;
		while (this.sent < this.queue.length && socket.writableLength < MAX_UNSENT) {
			socket.write(this.queue[this.sent++] ?? "");
		}
		this.watch(socket);
	}

	/** A write that waits keeps the process alive, unref or not: a peer that does not read is left. */
	private watch(socket: Socket): void {
		if (this.stallTimer || socket.writableLength === 0) return;
		const before = socket.bytesWritten - socket.writableLength;
		this.stallTimer = later(STALLED_MS, () => {
			this.stallTimer = undefined;
			if (socket.writableLength > 0 && socket.bytesWritten - socket.writableLength === before) socket.destroy();
			else this.watch(socket);
		});
	}

	private hear(data: Buffer): void {
		const lines = (this.heard + data.toString("latin1")).split("\n");
		this.heard = (lines.pop() ?? "").slice(0, MAX_LINE);
		for (const line of lines) {
			const total = count(
				field(
					quietly(() => JSON.parse(line)),
					"ack",
				),
			);
			if (total === undefined || total <= this.acknowledged) continue;
			this.forget(Math.min(total - this.acknowledged, this.sent));
			this.retryMs = FIRST_RETRY_MS;
		}
		if (this.queue.length === 0) this.emptied?.();
	}

	private lost(): void {
		this.connected = false;
		this.sent = 0;
		this.acknowledged = 0;
		this.wait();
	}

	private unreachable(absent: boolean): void {
		if (this.mayStart && absent && this.open) {
			this.mayStart = false; // once per process, whatever comes of it
			if (!supervised(process.env)) {
				quietly(() => startSidecar(process.env));
				this.retryMs = FIRST_RETRY_MS;
			}
		}
		this.wait();
	}

	/** Nobody is there, or nobody any more. An acknowledgement starts the delays from the shortest again. */
	private wait(): void {
		this.retryAt = Date.now() + this.retryMs;
		this.retryMs = Math.min(2 * this.retryMs, LAST_RETRY_MS);
		if (this.queue.length > 0) this.retry();
		this.emptied?.();
	}

	/** Connect when it is time to, and spool what waits if that takes long. */
	private retry(): void {
		this.spoolTimer ??= later(this.spoolMs, () => this.spoolAll());
		if (this.timer || !this.open) return;
		this.timer = later(Math.max(0, this.retryAt - Date.now()), () => {
			this.timer = undefined;
			if (!this.socket && this.open) this.connect();
		});
	}
}

function later(ms: number, action: () => void): NodeJS.Timeout {
	return setTimeout(() => quietly(action), ms).unref();
}
// </generated outbox>

// ---------------------------------------------------------------- events

function member(env: Environment): string | undefined {
	return name(env.TOKMON_MEMBER) ?? name(quietly(() => userInfo().username));
}

/** The version of the pi that runs us. Its export would be a runtime import: a failing one ends pi. */
function piVersion(): string | undefined {
	for (const start of [process.argv[1], process.execPath]) {
		let folder = quietly(() => dirname(fs.realpathSync(start ?? "")));
		for (let level = 0; folder && level < 4; level++, folder = dirname(folder)) {
			const file = join(folder, "package.json");
			const found: unknown = quietly(() => JSON.parse(fs.readFileSync(file, "utf8")));
			if (String(field(found, "name")).endsWith("pi-coding-agent")) return name(field(found, "version"));
		}
	}
	return undefined;
}

function hello(pi: string | undefined): string {
	const line: Hello = { kind: "hello", protocol: PROTOCOL, name: "tokmon.ts", version: VERSION, pi, pid: process.pid };
	return `${JSON.stringify(line)}\n`;
}

type Born = Pick<Capture, "id" | "ts" | "session" | "member" | "host" | "pi" | "mission">;

function born(state: State, session: string | undefined): Born {
	return {
		id: `${state.nonce}-${(state.serial++).toString(36)}`,
		ts: new Date().toISOString(),
		session: name(session),
		member: state.member,
		host: state.host,
		pi: state.pi,
		mission: scrubbed(process.env.TOKMON_MISSION, 200),
	};
}

function send(state: State, event: Capture | Usage): void {
	// What changes every time comes first, and from `provider` on what recurs: the sidecar is quicker by it.
	const order = ["kind", ...CHANGING, "provider"];
	const whole = { ...Object.fromEntries(order.map((key) => [key, field(event, key)])), ...event };
	let line = `${JSON.stringify(whole)}\n`;
	if (Buffer.byteLength(line) > MAX_LINE && event.kind === "capture") {
		line = `${JSON.stringify({ ...whole, headers: {}, frame: undefined })}\n`;
	}
	state.outbox.add(line);
}

// <generated capture>
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
// </generated capture>

// <generated usage>
// ---------------------------------------------------------------- usage

function tokens(usage: unknown): Usage["tokens"] {
	return {
		input: count(field(usage, "input")),
		output: count(field(usage, "output")),
		cache_read: count(field(usage, "cacheRead")),
		cache_write: count(field(usage, "cacheWrite")),
		cache_write_1h: count(field(usage, "cacheWrite1h")),
		reasoning: count(field(usage, "reasoning")),
		total: count(field(usage, "totalTokens")),
	};
}

/** What it cost, as far as that is known: models without a price cost 0 in pi, and that is not nothing spent. */
function cost(ctx: ExtensionContext, usage: unknown, provider: unknown, model: unknown): Partial<Usage> {
	const total = amount(field(field(usage, "cost"), "total"));
	if (field(field(usage, "cost"), "totalFromProvider") === true) return { cost_usd: total, cost_source: "billed" };
	if (total) return { cost_usd: total, cost_source: "estimated" };
	const found = quietly(() => ctx.modelRegistry.find(String(provider), String(model)));
	const priced = Object.values(found?.cost ?? {}).some((price) => typeof price === "number" && price > 0);
	const free = priced || !count(field(usage, "totalTokens"));
	return total === 0 && free && found ? { cost_usd: 0, cost_source: "estimated" } : { cost_source: "unknown" };
}

/** A finished answer of the model, or the error that came instead: the one place where an error's text appears. */
function answerEnded(state: State, session: Session, ctx: ExtensionContext, message: unknown): void {
	if (field(message, "role") !== "assistant" || !first(state, message)) return;
	const response = name(field(message, "responseId"));
	const [provider, model] = [field(message, "provider"), field(message, "model")];
	// Some servers give every response the same id: only together with its time does it tell one from another.
	const at = count(field(message, "timestamp"));
	if (response && at !== undefined && !state.counted.add(JSON.stringify([name(provider), response, at]))) return;
	const usage = field(message, "usage");
	send(state, {
		kind: "usage",
		...born(state, session.id),
		what: "assistant",
		provider: name(provider),
		model: name(model),
		api: name(field(message, "api")),
		response_model: name(field(message, "responseModel")),
		response_id: response,
		stop: name(field(message, "stopReason")),
		error: scrubbed(field(message, "errorMessage")),
		tokens: tokens(usage),
		...cost(ctx, usage, provider, model),
		duration_ms: amount(field(message, "durationMs")),
	});
}

const KINDS: Record<string, Usage["what"]> = { compaction: "compaction", branch_summary: "branch_summary" };

/** What else was paid for since the last look: cache warming, summaries, tools that ask a model. */
function countEntries(state: State, session: Session, ctx: ExtensionContext): void {
	const entries = ctx.sessionManager.getEntries();
	const fresh = entries.slice(session.entries);
	session.entries = entries.length;
	for (const entry of fresh) {
		const message = field(entry, "message");
		const tool = field(message, "role") === "toolResult";
		const usage = field(entry, "usage") ?? (tool ? field(message, "usage") : undefined);
		if (!usage || !state.counted.add(`${session.id}/${entry.id}`)) continue;
		const [provider, model] = [field(entry, "provider"), field(entry, "model")];
		const warm = field(entry, "kind") === "cache_warm" ? "cache_warm" : "other";
		send(state, {
			kind: "usage",
			...born(state, session.id),
			what: tool ? "tool_result" : (KINDS[entry.type] ?? warm),
			provider: name(provider) ?? session.flight?.provider,
			model: name(model) ?? session.flight?.model,
			entry: name(entry.id),
			tokens: tokens(usage),
			...cost(ctx, usage, provider ?? session.flight?.provider, model ?? session.flight?.model),
		});
	}
}
// </generated usage>

// ---------------------------------------------------------------- attribution

const OURS = Symbol.for("tokmon.wrapper.v1");
const METHODS = ["stream", "streamSimple", "fetchDeferred", "generateImages", "classify"];

/**
 * Puts a wrapper around whatever sends requests, so that `fetch` knows whose request it sees. It is put in place, on
 * the objects that pi asks: registering providers instead makes pi load its configuration and look at every provider
 * again (5 ms each), allows one api per provider only, and cannot tell `stream` from `streamSimple`. pi makes the objects
 * anew now and then, so this is done before every turn; what it meets again is marked, and is left alone.
 */
function attribute(state: State, session: Session, ctx: ExtensionContext): void {
	for (const sender of senders(ctx)) quietly(() => wrap(state, session, sender));
}

function wrap(state: State, session: Session, sender: unknown): void {
	if (typeof sender !== "object" || sender === null) return;
	for (const method of METHODS) {
		const original: unknown = field(sender, method);
		if (typeof original !== "function" || OURS in original) continue;
		const wrapper = function (this: unknown, model: unknown, ...rest: unknown[]): unknown {
			const flight = takeOff(state, session, model, rest[1]);
			return state.flights.run(flight, () => Reflect.apply(original, this, [model, ...rest]));
		};
		Object.assign(sender, { [method]: Object.assign(wrapper, { [OURS]: true }) });
	}
	state.wrapped.add(String(field(sender, "id")));
}

/** A request's flight. Sessions of one process are told apart by the id that pi passes along, where we know it. */
function takeOff(state: State, session: Session, model: unknown, options: unknown): Flight {
	const candidates = [name(field(options, "sessionId")), session.id, state.latest?.id];
	return { ...flightOf(model), session: candidates.find((id) => id !== undefined && state.sessions.has(id)) };
}

function flightOf(model: unknown): Flight {
	const of = (key: string) => name(field(model, key)) ?? "";
	return {
		provider: of("provider"),
		model: of("id"),
		api: of("api"),
		baseUrl: of("baseUrl"),
		session: undefined,
		responses: 0,
	};
}

// <generated attribution>
/** What sends requests: the providers that may be asked. pi looks each up by its name when it asks. */
function senders(ctx: ExtensionContext): unknown[] {
	const names = new Set(ctx.modelRegistry.getAvailable().map((model) => model.provider));
	if (ctx.model) names.add(ctx.model.provider);
	return [...names].map((provider) => ctx.modelRegistry.getProvider(provider));
}
// </generated attribution>

/** Learns the base URLs that pi knows, and which model is the session's. */
function look(state: State, session: Session, ctx: ExtensionContext, model: unknown): void {
	session.flight = model ? { ...flightOf(model), session: session.id } : undefined;
	state.latest = session;
	const available = new Set(ctx.modelRegistry.getAvailable().map((each) => each.provider));
	const found = new Map<string, Base>();
	for (const each of ctx.modelRegistry.getAll()) {
		const base = { url: each.baseUrl, provider: each.provider, available: available.has(each.provider) };
		found.set(`${base.provider} ${base.url}`, base);
	}
	state.bases.clear();
	for (const base of found.values()) {
		const origin = quietly(() => new URL(base.url).origin);
		if (origin) state.bases.set(origin, [...(state.bases.get(origin) ?? []), base]);
	}
}

// ---------------------------------------------------------------- pi

const STATE = Symbol.for("tokmon.capture.v1");

function shared(): State {
	const slot = globalThis as typeof globalThis & { [STATE]?: State };
	const found = slot[STATE];
	if (found) return found;
	const nonce = randomBytes(12).toString("base64url");
	const state: State = {
		flights: new AsyncLocalStorage(),
		notice: () => undefined,
		observing: false,
		bases: new Map(),
		wrapped: new Set(),
		requests: new Recent(),
		counted: new Recent(),
		seen: new WeakSet(),
		outbox: new Outbox(nonce, () => hello(state.pi)),
		nonce,
		serial: 0,
		member: quietly(() => member(process.env)),
		host: quietly(() => name(hostname())),
		pi: undefined,
		latest: undefined,
		sessions: new Map(),
	};
	slot[STATE] = state;
	process.once("exit", () => quietly(() => state.outbox.spoolAll()));
	return state;
}

function started(state: State, session: Session, ctx: ExtensionContext): void {
	state.pi ??= piVersion();
	session.id = name(ctx.sessionManager.getSessionId());
	session.entries = ctx.sessionManager.getEntries().length;
	if (session.id) state.sessions.set(session.id, session);
	state.outbox.start();
	state.notice = (request) => notice(state, request);
	observe(state);
	selected(state, session, ctx, ctx.model);
}

function selected(state: State, session: Session, ctx: ExtensionContext, model: unknown): void {
	quietly(() => look(state, session, ctx, model));
	quietly(() => attribute(state, session, ctx));
}

/** The last look, and a moment for the sidecar where the process ends; on /reload and /new the line stays up. */
function ended(state: State, session: Session, ctx: ExtensionContext, reason: unknown): Promise<void> | undefined {
	quietly(() => countEntries(state, session, ctx));
	if (session.id) state.sessions.delete(session.id);
	const over = state.sessions.size === 0 && (reason === undefined || reason === "quit");
	return over ? state.outbox.close() : undefined;
}

// <generated events>
/**
 * Listens to an event that not every version of pi has. The pi that runs may be another than the one this file was
 * rendered for, and to listen to what never comes does no harm.
 */
function listen(pi: ExtensionAPI, event: string, handler: (event: unknown) => void): () => void {
	const on: unknown = pi.on;
	const heard = (data: unknown): void => void quietly(() => handler(data));
	const stop: unknown = typeof on === "function" ? Reflect.apply(on, pi, [event, heard]) : undefined;
	return () => typeof stop === "function" && Reflect.apply(stop, undefined, []);
}

/** pi waits for the listeners of every frame of a stream, so we listen only where a frame may hold a quota. */
function subscribe(state: State, pi: ExtensionAPI, session: Session): void {
	listen(pi, "after_provider_response", (event) =>
		told(state, session, field(event, "status"), field(event, "headers")),
	);
	let stop: (() => void) | undefined;
	const choose = (model: unknown): void => {
		const wanted = ["openai-codex-responses", "pi-virtual"].includes(String(field(model, "api")));
		if (!wanted) stop?.();
		stop = wanted ? (stop ?? listen(pi, "provider_stream_event", heard)) : undefined;
	};
	const heard = (event: unknown): void => {
		const [provider, model, api] = ["provider", "model", "api"].map((key) => name(field(event, key)));
		framed(state, session, field(event, "data"), { provider, model, api });
	};
	pi.on("session_start", (_event, ctx) => void quietly(() => choose(ctx.model)));
	pi.on("model_select", (event) => void quietly(() => choose(event.model)));
}
// </generated events>

export default function tokmon(pi: ExtensionAPI): void {
	quietly(() => {
		if (process.env.TOKMON_DISABLE === "1") return;
		const state = shared();
		const session: Session = { id: undefined, flight: undefined, entries: 0, responses: 0 };
		const prepare = (_event: unknown, ctx: ExtensionContext): void =>
			void quietly(() => attribute(state, session, ctx));
		const scan = (_event: unknown, ctx: ExtensionContext): void =>
			void quietly(() => countEntries(state, session, ctx));
		pi.on("session_start", (_event, ctx) => void quietly(() => started(state, session, ctx)));
		pi.on("model_select", (event, ctx) => void quietly(() => selected(state, session, ctx, event.model)));
		pi.on("before_provider_request", () => {
			session.responses = 0;
			state.latest = session;
		});
		pi.on("message_end", (event, ctx) => void quietly(() => answerEnded(state, session, ctx, event.message)));
		pi.on("turn_start", prepare);
		pi.on("session_before_compact", prepare);
		pi.on("session_before_tree", prepare);
		pi.on("turn_end", scan);
		pi.on("agent_end", scan);
		pi.on("session_compact", scan);
		pi.on("session_tree", scan);
		pi.on("session_shutdown", (event, ctx) => quietly(() => ended(state, session, ctx, field(event, "reason"))));
		subscribe(state, pi, session);
	});
}

// For the pieces, which are checked beside this file.
export {
	amount,
	type Base,
	born,
	type Capture,
	clean,
	count,
	type Flight,
	field,
	first,
	framed,
	HEADERS,
	MAX_LINE,
	name,
	quietly,
	type Session,
	type State,
	scrubbed,
	send,
	socketPaths,
	stateFolder,
	told,
	type Usage,
};
