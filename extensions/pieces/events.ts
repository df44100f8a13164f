/** What some versions of pi tell and others do not. */

import type { ExtensionAPI } from "@earendil-works/pi-coding-agent";
import { field, framed, name, quietly, type Session, type State, told } from "../tokmon.ts";

// <piece events>
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
// </piece events>

export { subscribe };
