/** Reading values of unknown type, and making texts safe to send. */

import { MAX_TEXT, PLACEHOLDER, SECRETS } from "./schema.ts";
import { withoutSecrets } from "./secrets.ts";

const MAX_NAME = 300;
const MAX_RECENT = 1000;

/** Runs `action`; undefined if it throws. No error of the extension may reach pi. */
export function quietly<T>(action: () => T): T | undefined {
	try {
		return action();
	} catch {
		return undefined;
	}
}

/** A property of a value whose type does not declare it; undefined if there is none. */
export function field(value: unknown, key: string): unknown {
	return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[key] : undefined;
}

/** The first MAX_NAME characters of a text, without control characters; undefined for an empty text or no text. */
export function name(value: unknown): string | undefined {
	return clean(value, MAX_NAME);
}

/** A text without credentials. They are replaced before it is cut, since half a credential would not be recognised. */
export function scrub(value: unknown, limit = MAX_TEXT): string | undefined {
	if (typeof value !== "string") return undefined;
	return clean(withoutSecrets(value.slice(0, 4 * MAX_TEXT)).replace(SECRETS, PLACEHOLDER), limit);
}

function clean(value: unknown, limit: number): string | undefined {
	if (typeof value !== "string" || value === "") return undefined;
	return value
		.slice(0, limit)
		.replace(/\p{Cc}/gu, " ")
		.replace(/\p{Surrogate}/gu, "\uFFFD");
}

/** A finite number that is not negative. */
export function amount(value: unknown): number | undefined {
	return typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : undefined;
}

/** As `amount`, rounded to an integer. */
export function count(value: unknown): number | undefined {
	const number = amount(value);
	return number === undefined ? undefined : Math.round(number);
}

/** The last MAX_RECENT keys. */
export class RecentKeys {
	private readonly keys = new Set<string>();

	/** Adds a key; false if it was there. */
	add(key: string): boolean {
		if (this.keys.has(key)) return false;
		this.keys.add(key);
		if (this.keys.size > MAX_RECENT) {
			const [oldest] = this.keys;
			if (oldest !== undefined) this.keys.delete(oldest);
		}
		return true;
	}
}
