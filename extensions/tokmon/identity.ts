/** Which account a response names: one provider of pi may be logged in to several, one after the other. */

import { createHash } from "node:crypto";
import { name, quietly } from "./values.ts";

/** Response headers with the name of the organisation. */
const ORGANISATIONS = ["anthropic-organization-id", "openai-organization"];
const MAX_SESSIONS = 1000;

/** By session and provider: the account that the last response named. */
const accounts = new Map<string, string>();

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

/** Notes the account of a response, for the error text that may follow without headers. */
export function noteAccount(
	session: string | undefined,
	provider: unknown,
	account: string | undefined,
	headers: Headers,
): void {
	const named = account ?? ORGANISATIONS.map((header) => name(headers.get(header))).find((id) => id !== undefined);
	if (!named) return;
	if (accounts.size >= MAX_SESSIONS) accounts.clear();
	accounts.set(`${session} ${name(provider)}`, named);
}

/** The account that the last response of this session and provider named. */
export function lastAccount(session: string | undefined, provider: unknown): string | undefined {
	return accounts.get(`${session} ${name(provider)}`);
}
