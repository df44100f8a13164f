/**
 * Captures of refused requests wait for the text of the error, so that the headers and the text of one response are one
 * reading: the headers come first, and only the final message of pi has the text.
 */

import type { Capture } from "./schema.ts";
import { type RequestContext, type State, send } from "./state.ts";
import { field, quietly, scrub } from "./values.ts";

/** Longer than the pauses between the attempts of an SDK, of which the last one gives the text. */
const MAX_WAIT_MS = 10_000;
const FIRST_ERROR = 400;

/** The captures of one request, all with the same status, that wait for the text. */
export interface Refusals {
	status: number;
	captures: Capture[];
	/** Sends them: with the text of this message, or as they are. */
	release(message?: unknown): void;
}

/** Sends the capture of a response: that of a refusal with its text, or as it is if none comes in MAX_WAIT_MS. */
export function sendResponse(state: State, context: RequestContext | undefined, capture: Capture): void {
	const status = capture.http_status ?? 0;
	if (context?.refusals?.status !== status) context?.refusals?.release();
	const refusals = context && status >= FIRST_ERROR ? (context.refusals ?? wait(state, context, status)) : undefined;
	if (refusals) refusals.captures.push(capture);
	else send(state, capture);
}

/** Remembers that a capture has the text of the error with which this request ends: it is read there alone. */
export function noteCapturedError(state: State, context: RequestContext): void {
	finalMessage(context)?.then(
		(message) => void quietly(() => errorText(state, message)),
		() => undefined,
	);
}

/** Undefined if no text will come: what sent the request returned no stream. */
function wait(state: State, context: RequestContext, status: number): Refusals | undefined {
	const message = finalMessage(context);
	if (!message) return undefined;
	const refusals: Refusals = {
		status,
		captures: [],
		release(final) {
			if (context.refusals !== refusals) return;
			context.refusals = undefined;
			state.waiting.delete(refusals);
			clearTimeout(timer);
			const error = errorText(state, final);
			for (const capture of refusals.captures) quietly(() => send(state, error ? { ...capture, error } : capture));
		},
	};
	const timer = setTimeout(() => quietly(() => refusals.release()), MAX_WAIT_MS).unref();
	context.refusals = refusals;
	state.waiting.add(refusals);
	message.then(
		(final) => void quietly(() => refusals.release(final)),
		() => void quietly(() => refusals.release()),
	);
	return refusals;
}

function finalMessage({ stream }: RequestContext): Promise<unknown> | undefined {
	const result = field(stream, "result");
	const message: unknown = typeof result === "function" ? quietly(() => Reflect.apply(result, stream, [])) : undefined;
	return message instanceof Promise ? message : undefined;
}

/** The text of the error that a request ended with. An aborted one has no text of the provider. */
function errorText(state: State, message: unknown): string | undefined {
	const text = field(message, "stopReason") === "error" ? scrub(field(message, "errorMessage")) : undefined;
	if (text) state.capturedErrors.add(message as object);
	return text;
}
