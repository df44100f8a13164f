/** Where the socket and the spool are (the same rules as `tokmon.paths`), and writing spool files. */

import { spawn } from "node:child_process";
import * as fs from "node:fs";
import { homedir } from "node:os";
import { quietly } from "./values.ts";

export type Environment = Record<string, string | undefined>;

function absolute(path: string | undefined): string | undefined {
	return path?.startsWith("/") ? path : undefined;
}

function home(env: Environment): string {
	return env.HOME || homedir();
}

export function stateFolder(env: Environment): string {
	return env.TOKMON_STATE_DIR || `${absolute(env.XDG_STATE_HOME) ?? `${home(env)}/.local/state`}/tokmon`;
}

/** Where a sidecar may listen, in the order in which the sidecar chooses. */
export function socketPaths(env: Environment): string[] {
	if (env.TOKMON_SOCKET) return [env.TOKMON_SOCKET];
	const runtime = absolute(env.XDG_RUNTIME_DIR) ?? `/run/user/${process.getuid?.() ?? 0}`;
	return [`${runtime}/tokmon/sock`, `${stateFolder(env)}/sock`];
}

function exists(path: string): boolean {
	return quietly(() => fs.lstatSync(path)) !== undefined;
}

/** Starts a sidecar, unless systemd listens for it or the environment forbids it. */
export function startSidecar(env: Environment): boolean {
	const config = absolute(env.XDG_CONFIG_HOME) ?? `${home(env)}/.config`;
	if (env.TOKMON_NO_SPAWN === "1" || exists(`${config}/systemd/user/sockets.target.wants/tokmon.socket`)) return false;
	const installed = `${home(env)}/.local/bin/tokmon`;
	const command = env.TOKMON_BIN || (exists(installed) ? installed : "tokmon");
	const child = spawn(command, ["sidecar", "--detach"], { detached: true, stdio: "ignore", cwd: "/" });
	child.on("error", () => {});
	child.unref();
	return true;
}

/** Makes a folder that only this user can use. Throws if it is a link or another user's. */
export function privateFolder(path: string): string {
	fs.mkdirSync(path, { recursive: true, mode: 0o700 });
	const status = fs.lstatSync(path);
	if (!status.isDirectory() || status.uid !== process.getuid?.()) throw new Error("not a folder of this user");
	if ((status.mode & 0o077) !== 0) fs.chmodSync(path, 0o700);
	return path;
}

/** Writes a spool file by the maildir rules, since Node has no file locks: into `tmp/`, then renamed into `new/`. */
export function writeSpoolFile(lines: string[], fileName: string): true {
	const folder = privateFolder(`${privateFolder(stateFolder(process.env))}/spool`);
	const [temporary, ready] = [privateFolder(`${folder}/tmp`), privateFolder(`${folder}/new`)];
	const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = fs.constants;
	const file = fs.openSync(`${temporary}/${fileName}`, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
	try {
		try {
			const bytes = Buffer.from(lines.join(""));
			for (let written = 0; written < bytes.length; ) written += fs.writeSync(file, bytes, written);
		} finally {
			fs.closeSync(file);
		}
		fs.renameSync(`${temporary}/${fileName}`, `${ready}/${fileName}`);
		return true;
	} catch (error) {
		// The next attempt uses another name: on a full disk the incomplete files would pile up.
		quietly(() => fs.unlinkSync(`${temporary}/${fileName}`));
		throw error;
	}
}
