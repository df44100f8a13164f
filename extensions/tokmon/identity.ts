/** Which account a response names: one provider of pi may be logged in to several, one after the other. */

import { createHash, createHmac, randomBytes } from "node:crypto";
import * as fs from "node:fs";
import type { Attribution } from "./attribution.ts";
import { privateFolder, stateFolder } from "./spool.ts";
import { name, quietly } from "./values.ts";

/** Response headers with the name of the organisation. */
const ORGANISATIONS = ["anthropic-organization-id", "openai-organization"];
/** Request headers with a credential. */
const KEY_HEADERS = ["x-api-key", "authorization", "x-goog-api-key", "api-key"];
const MAX_SESSIONS = 1000;

const KEY_BYTES = 32;
/** A token that is renewed within hours, whoever renews it. */
const JWT = /^eyJ[\w-]*\.[\w-]+\./;

/**
 * What an event says of its account: the account that a request or response names, and a hash of a configured key or of a
 * login's account.
 */
export interface Identity {
	account: string | undefined;
	credential: string | undefined;
}

/** By session and provider: what the last response named. */
const identities = new Map<string, Identity>();

/** The key of the hashes; undefined if it can be neither read nor made. */
let secret: Buffer | undefined;

/** The headers of a request. */
export function requestHeaders([input, init]: Parameters<typeof fetch>): Headers {
	return new Headers(init?.headers ?? (typeof input === "object" && "headers" in input ? input.headers : undefined));
}

/** The ChatGPT account that a request names, hashed: its id is as private as an address. */
export function chatgptAccount(headers: Headers | undefined): string | undefined {
	const id = quietly(() => headers?.get("chatgpt-account-id"));
	if (!id) return undefined;
	return `chatgpt-${createHash("sha256").update(`chatgpt-account:${id}`).digest("hex").slice(0, 16)}`;
}

/** Reads the key of this user's hashes, or makes it. It is random, and never leaves its folder. */
export function loadSecret(): void {
	secret ??= quietly(() => {
		const path = `${privateFolder(stateFolder(process.env))}/identity.key`;
		const known = quietly(() => readSecret(path));
		if (known) return known;
		makeSecret(path);
		return readSecret(path);
	});
}

function readSecret(path: string): Buffer {
	const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = fs.constants;
	const file = fs.openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
	try {
		const status = fs.fstatSync(file);
		if (!status.isFile() || status.size !== KEY_BYTES || status.uid !== process.getuid?.()) throw new Error("no key");
		return fs.readFileSync(file);
	} finally {
		fs.closeSync(file);
	}
}

/** A link appears whole or not at all, and never replaces the key that another process made in the meantime. */
function makeSecret(path: string): void {
	const temporary = `${path}.${process.pid}`;
	quietly(() => fs.unlinkSync(temporary));
	fs.writeFileSync(temporary, randomBytes(KEY_BYTES), { mode: 0o600, flag: "wx" });
	quietly(() => fs.linkSync(temporary, path));
	fs.unlinkSync(temporary);
}

/** The credential in the headers of a request. */
export function credentialOf(headers: Headers): string | undefined {
	return KEY_HEADERS.map((header) => headers.get(header)).find((value) => value) ?? undefined;
}

/**
 * A keyed hash of a credential, by which two keys of one provider differ; undefined for a token that will be renewed, and
 * for pi's own word for a credential that it does not know (`<authenticated>`).
 */
export function hashOfKey(credential: string | undefined): string | undefined {
	const key = credential?.replace(/^Bearer /i, "");
	return !key || key.startsWith("<") || JWT.test(key) ? undefined : hashOf(key);
}

/** A hash that only this user's processes can make; undefined without its key. */
export function hashOf(text: string): string | undefined {
	return secret && createHmac("sha256", secret).update(text).digest("hex").slice(0, 16);
}

/** Notes what a response named, for the error text that may follow without headers. */
export function noteIdentity(
	session: string | undefined,
	provider: Attribution["provider"],
	identity: Identity,
	headers: Headers,
): void {
	const organisation = ORGANISATIONS.map((header) => name(headers.get(header))).find((id) => id !== undefined);
	const account = identity.account ?? organisation;
	if (!account && !identity.credential) return;
	if (identities.size >= MAX_SESSIONS) identities.clear();
	identities.set(`${session} ${provider}`, { ...identity, account });
}

/** What the last response of this session and provider named. */
export function lastIdentity(session: string | undefined, provider: unknown): Identity | undefined {
	return identities.get(`${session} ${name(provider)}`);
}
