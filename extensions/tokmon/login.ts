/** The account of a login, where pi's auth.json names it: a renewal of the token leaves its id or address as it is. */

import * as fs from "node:fs";
import { homedir } from "node:os";
import { hashOf } from "./identity.ts";
import { LOGIN_NAMES } from "./schema.ts";
import { field, name, quietly } from "./values.ts";

const MAX_FILE = 1024 * 1024;

/** A keyed hash of the account; undefined if this token is none of a login, or the login names no account. */
export function loginAccount(provider: string, credential: string | undefined): string | undefined {
	const login = quietly(() => field(readLogins(), provider));
	const token = credential?.replace(/^Bearer /i, "");
	if (field(login, "type") !== "oauth" || !token || field(login, "access") !== token) return undefined;
	const named = [login, field(login, "account")].flatMap((from) => LOGIN_NAMES.map((key) => name(field(from, key))));
	const account = named.find((text) => text !== undefined);
	const hash = account && hashOf(`login:${account}`);
	return hash && `login-${hash}`;
}

function readLogins(): unknown {
	const { PI_CODING_AGENT_DIR: agent, HOME: home } = process.env;
	const folder = agent?.replace(/^~(?=$|\/)/, homedir()) || `${home || homedir()}/.pi/agent`;
	const { O_NONBLOCK, O_RDONLY } = fs.constants;
	const file = fs.openSync(`${folder}/auth.json`, O_RDONLY | O_NONBLOCK);
	try {
		const status = fs.fstatSync(file);
		return status.isFile() && status.size <= MAX_FILE ? JSON.parse(fs.readFileSync(file, "utf8")) : undefined;
	} finally {
		fs.closeSync(file);
	}
}
