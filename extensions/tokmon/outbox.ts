/** The queue of events: sent to the sidecar, resent after a lost connection, spooled if no sidecar takes them. */

import { createConnection, type Socket } from "node:net";
import { MAX_LINE } from "./schema.ts";
import { socketPaths, startSidecar, writeSpoolFile } from "./spool.ts";
import { count, field, quietly } from "./values.ts";

const MAX_EVENTS = 2000;
const MAX_BYTES = 8 * 1024 * 1024;
const MAX_UNSENT = 1024 * 1024; // bytes handed to a socket whose peer does not read
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 30_000;
const SPOOL_AFTER_MS = 2000;
const STALLED_MS = 1000;
const CLOSE_TIMEOUT_MS = 200;

/** Errors that mean that no sidecar of this user listens. EAGAIN is none of them: that sidecar is busy. */
const ABSENT = "ENOENT ECONNREFUSED EACCES EPERM ENOTDIR EINVAL ENAMETOOLONG ELOOP".split(" ");

/** Keeps each event until the sidecar acknowledges it. What is not acknowledged in time goes to the spool. */
export class Outbox {
	private readonly nonce: string;
	private readonly hello: () => string;
	private queue: string[] = [];
	private bytes = 0;
	/** Counts of this connection: events of `queue` that were sent, and events that were acknowledged or dropped. */
	private sent = 0;
	private acknowledged = 0;
	private socket: Socket | undefined;
	private connected = false;
	private received = "";
	private retryMs = FIRST_RETRY_MS;
	private retryAt = 0;
	private retryTimer: NodeJS.Timeout | undefined;
	private spoolTimer: NodeJS.Timeout | undefined;
	/** The delay before spooling, doubled after each failure; and the earliest instant of the next attempt. */
	private spoolMs = SPOOL_AFTER_MS;
	private spoolAt = 0;
	private stallTimer: NodeJS.Timeout | undefined;
	private mayStart = true;
	private open = false;
	private files = 0;
	private onEmpty: (() => void) | undefined;

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
		while (this.full()) this.drop(1); // neither sent nor spooled
		if (this.connected) this.flush();
		else if (!this.socket && this.open) this.reconnect();
	}

	/** Waits CLOSE_TIMEOUT_MS at most for acknowledgements, then spools the rest. Undefined if nothing is pending. */
	close(): Promise<void> | undefined {
		this.open = false;
		if (this.queue.length === 0 || !this.socket) {
			this.end();
			return undefined;
		}
		return new Promise((resolve) => {
			const finish = () => {
				clearTimeout(timer);
				this.onEmpty = undefined;
				quietly(() => this.end());
				resolve();
			};
			// Not unref'd: pi waits for this promise, and nothing else may keep the process alive meanwhile.
			const timer = setTimeout(finish, CLOSE_TIMEOUT_MS);
			this.onEmpty = finish;
		});
	}

	/** Spools all that is pending. Also called when the process exits. */
	spoolAll(): void {
		this.spoolOldest(this.queue.length);
	}

	private end(): void {
		clearTimeout(this.retryTimer);
		this.retryTimer = undefined;
		const socket = this.socket;
		const empty = this.queue.length === 0;
		this.spoolAll();
		this.socket = undefined;
		this.connected = false;
		this.sent = 0;
		if (empty) socket?.end();
		else socket?.destroy();
	}

	private full(): boolean {
		return this.queue.length > MAX_EVENTS || this.bytes > MAX_BYTES;
	}

	/** Spools the oldest events. If that fails they stay in the queue, and it is tried again later. */
	private spoolOldest(events: number): void {
		clearTimeout(this.spoolTimer);
		this.spoolTimer = undefined;
		if (events === 0) return;
		const fileName = `${Date.now()}.${this.nonce}.${String(this.files++).padStart(6, "0")}.ndjson`;
		if (quietly(() => writeSpoolFile(this.queue.slice(0, events), fileName))) {
			this.drop(events);
			this.spoolMs = SPOOL_AFTER_MS;
			this.spoolAt = 0;
			return;
		}
		this.spoolAt = Date.now() + this.spoolMs;
		if (this.open && !this.connected) this.spoolTimer = later(this.spoolMs, () => this.spoolAll());
		this.spoolMs = Math.min(2 * this.spoolMs, LAST_RETRY_MS);
	}

	/** Takes the oldest events out of the queue. Those that were sent count as acknowledged. */
	private drop(events: number): void {
		for (const line of this.queue.splice(0, events)) this.bytes -= Buffer.byteLength(line);
		const sent = Math.min(events, this.sent);
		this.sent -= sent;
		this.acknowledged += sent;
	}

	private connect(candidate = 0, absent = true): void {
		const path = socketPaths(process.env)[candidate];
		if (path === undefined) {
			this.noSidecar(absent);
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
		socket.on("connect", () => quietly(() => this.onConnect()));
		socket.on("drain", () => quietly(() => this.flush()));
		socket.on("data", (data: Buffer) => quietly(() => this.onData(data)));
		socket.on("close", () =>
			quietly(() => {
				if (this.socket !== socket) return;
				this.socket = undefined;
				if (this.connected) this.disconnected();
				else this.connect(candidate + 1, absent && missing);
			}),
		);
	}

	private onConnect(): void {
		this.connected = true;
		this.sent = 0;
		this.acknowledged = 0;
		this.received = "";
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
		this.watchForStall(socket);
	}

	/** Leaves a peer that does not read: a pending write keeps the process alive even on an unref'd socket. */
	private watchForStall(socket: Socket): void {
		if (this.stallTimer || socket.writableLength === 0) return;
		const before = socket.bytesWritten - socket.writableLength;
		this.stallTimer = later(STALLED_MS, () => {
			this.stallTimer = undefined;
			if (socket.writableLength > 0 && socket.bytesWritten - socket.writableLength === before) socket.destroy();
			else this.watchForStall(socket);
		});
	}

	private onData(data: Buffer): void {
		const lines = (this.received + data.toString("latin1")).split("\n");
		this.received = (lines.pop() ?? "").slice(0, MAX_LINE);
		for (const line of lines) {
			const reply: unknown = quietly(() => JSON.parse(line));
			const total = count(field(reply, "ack"));
			if (total === undefined || total <= this.acknowledged) continue;
			this.drop(Math.min(total - this.acknowledged, this.sent));
			this.retryMs = FIRST_RETRY_MS;
		}
		if (this.queue.length === 0) this.onEmpty?.();
	}

	private disconnected(): void {
		this.connected = false;
		this.sent = 0;
		this.acknowledged = 0;
		this.scheduleRetry();
	}

	/** No sidecar accepts connections. If none is there (`absent`), starts one, once per process. */
	private noSidecar(absent: boolean): void {
		if (this.mayStart && absent && this.open) {
			this.mayStart = false;
			if (quietly(() => startSidecar(process.env)) !== false) this.retryMs = FIRST_RETRY_MS;
		}
		this.scheduleRetry();
	}

	/** Doubles the delay; an acknowledgement sets it back to the shortest. */
	private scheduleRetry(): void {
		this.retryAt = Date.now() + this.retryMs;
		this.retryMs = Math.min(2 * this.retryMs, LAST_RETRY_MS);
		if (this.queue.length > 0) this.reconnect();
		this.onEmpty?.();
	}

	/** Connects at `retryAt`. The queue is spooled if that takes too long. */
	private reconnect(): void {
		this.spoolTimer ??= later(this.spoolMs, () => this.spoolAll());
		if (this.retryTimer || !this.open) return;
		this.retryTimer = later(Math.max(0, this.retryAt - Date.now()), () => {
			this.retryTimer = undefined;
			if (!this.socket && this.open) this.connect();
		});
	}
}

/** A timer that does not keep the process alive. */
function later(ms: number, action: () => void): NodeJS.Timeout {
	return setTimeout(() => quietly(action), ms).unref();
}
