/** The way from pi to the sidecar: where the socket and the spool lie, and what waits for them. */

import { spawn } from "node:child_process";
import * as fs from "node:fs";
import { createConnection, type Socket } from "node:net";
import { homedir } from "node:os";
import { count, field, MAX_LINE, quietly } from "../tokmon.ts";

// <piece outbox>
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
// </piece outbox>

export { Outbox, socketPaths, stateFolder };
