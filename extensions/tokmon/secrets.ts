/**
 * The credentials of requests, removed by their value from every text that is sent: servers repeat them, also in part,
 * and no pattern knows every shape. They are kept in memory only, the last ones of this process, since the text of an
 * error comes after its request.
 */

import { PLACEHOLDER, SECRETS_IN_IDS } from "./schema.ts";

const MIN = 8;
const MAX_REMEMBERED = 32;
const MAX_LENGTH = 16 * 1024;

const SECRET_NAME = /auth|key|token|secret|cookie|password|credential|signature|account-id/i;
const PUBLIC_NAME =
	/^(accept|anthropic-(beta|version|dangerous)|cache-control|connection|content-|copilot-|date|editor-|host|http-referer|openai-beta|origin|referer|sec-|trace|user-agent|version|x-app|x-github-|x-initiator|x-stainless-|x-title|.*(session|conversation|request|trace|idempotency))/i;
const SECRET_PARAMETER = /^(.*key|.*token|sig|signature|.*secret|password|auth|x-amz-.*)$/i;

/** Options and variables that hold no secret themselves. */
const PUBLIC_OPTION = /cache|(file|path|uri|url|application_credentials)$/i;
/** pi's word for a credential that only the SDK knows. */
const AMBIENT = "<authenticated>";

interface Secrets {
	/** Removed as a whole, and by either end of MIN characters or more. */
	credentials: Set<string>;
	/** Values of other headers of models.json, removed as a whole. */
	values: Set<string>;
}

const SLOT = Symbol.for("tokmon.secrets.v1");

/** Shared by all loads of the extension in this process. */
function secrets(): Secrets {
	const slots = globalThis as typeof globalThis & { [slot: symbol]: unknown };
	slots[SLOT] ??= { credentials: new Set(), values: new Set() };
	return slots[SLOT] as Secrets;
}

function remember(values: Set<string>, value: string): void {
	if (value.length < MIN || value.length > MAX_LENGTH) return;
	values.delete(value);
	values.add(value);
	const [oldest] = values;
	if (values.size > MAX_REMEMBERED && oldest !== undefined) values.delete(oldest);
}

/** A value as texts repeat it: plain, in JSON, in a URL. */
function rememberForms(values: Set<string>, value: string): void {
	for (const form of new Set([value, JSON.stringify(value).slice(1, -1), encodeURIComponent(value)])) {
		remember(values, form);
	}
}

/** Remembers the credentials of a request: of its headers, and of its URL. */
export function rememberSecrets([input, init]: Parameters<typeof fetch>): void {
	const object = typeof input === "object" && "url" in input ? input : undefined;
	const { credentials } = secrets();
	rememberHeaders(new Headers(init?.headers ?? object?.headers));
	const url = new URL(object?.url ?? String(input));
	if (url.password) rememberForms(credentials, decodeURIComponent(url.password));
	for (const [parameter, value] of url.searchParams) {
		if (SECRET_PARAMETER.test(parameter)) rememberForms(credentials, value);
	}
}

function rememberHeaders(headers: Iterable<[string, unknown]>): void {
	const { credentials, values } = secrets();
	for (const [header, value] of headers) {
		if (typeof value !== "string") continue;
		if (SECRET_NAME.test(header)) rememberForms(credentials, value.replace(/^(bearer|basic|token) +/i, ""));
		else if (!PUBLIC_NAME.test(header) && !/\s|^https?:/.test(value)) rememberForms(values, value);
	}
}

/**
 * Remembers the credentials that pi passes to what sends a request, which may use no `fetch`: its key, its headers, and
 * those of its environment. AWS takes them from that of the process too.
 */
export function rememberOptions(options: unknown): void {
	const { headers, env, ...others } = Object(options) as Record<string, unknown>;
	const ofProcess = Object.entries(process.env).filter(([name]) => name.startsWith("AWS_"));
	for (const [name, value] of [...ofProcess, ...Object.entries(Object(env)), ...Object.entries(others)]) {
		const isSecret = SECRET_NAME.test(name) && !PUBLIC_OPTION.test(name) && value !== AMBIENT;
		if (isSecret && typeof value === "string") rememberForms(secrets().credentials, value);
	}
	rememberHeaders(Object.entries(Object(headers)));
}

/** Remembers the subprotocols of a WebSocket that hold a key (`openai-insecure-api-key.KEY`), as browsers send it. */
export function rememberProtocols(protocols: unknown): void {
	const { credentials } = secrets();
	for (const protocol of [protocols].flat()) {
		if (typeof protocol !== "string" || !SECRET_NAME.test(protocol)) continue;
		rememberForms(credentials, protocol);
		rememberForms(credentials, protocol.slice(protocol.indexOf(".") + 1));
	}
}

/** The text without the credentials of the last requests, and without their ends. */
export function withoutSecrets(text: string): string {
	if (text.length < MIN) return text;
	const { credentials, values } = secrets();
	let rest = text;
	for (const value of [...credentials, ...values]) rest = rest.replaceAll(value, PLACEHOLDER);
	for (const value of credentials) rest = withoutEnd(withoutStart(rest, value), value);
	return rest;
}

/** An id if it holds no credential; the text of a server may be anything. */
export function idWithoutSecrets(id: string | undefined): string | undefined {
	return id === undefined || withoutSecrets(id) !== id || SECRETS_IN_IDS.test(id) ? undefined : id;
}

function withoutStart(text: string, value: string): string {
	const start = value.slice(0, MIN);
	let rest = text;
	for (let at = rest.indexOf(start); at >= 0; at = rest.indexOf(start, at + PLACEHOLDER.length)) {
		let end = at + MIN;
		while (end < rest.length && rest[end] === value[end - at]) end++;
		rest = rest.slice(0, at) + PLACEHOLDER + rest.slice(end);
	}
	return rest;
}

function withoutEnd(text: string, value: string): string {
	const end = value.slice(-MIN);
	let rest = text;
	for (let at = rest.indexOf(end); at >= 0; at = rest.indexOf(end, at)) {
		let start = at;
		while (start > 0 && rest[start - 1] === value[value.length - MIN - 1 - (at - start)]) start--;
		rest = rest.slice(0, start) + PLACEHOLDER + rest.slice(at + MIN);
		at = start + PLACEHOLDER.length;
	}
	return rest;
}
