/** What some versions of pi tell and others do not. */

import type { ExtensionAPI, ProviderStreamEvent } from "@earendil-works/pi-coding-agent";
import { field, framed, name, quietly, type Session, type State, told } from "../tokmon.ts";

// <piece after_provider_response>
function onResponse(state: State, pi: ExtensionAPI, session: Session): void {
	pi.on("after_provider_response", (event) => void quietly(() => told(state, session, event.status, event.headers)));
}
// </piece after_provider_response>

// <piece provider_stream_event>
/** pi waits for the listeners of every frame of a stream, so we listen only where a frame may hold a quota. */
function onFrame(state: State, pi: ExtensionAPI, session: Session): void {
	let stop: (() => void) | undefined;
	const choose = (model: unknown): void => {
		const wanted = ["openai-codex-responses", "pi-virtual"].includes(String(field(model, "api")));
		if (!wanted) stop?.();
		stop = wanted ? (stop ?? pi.on("provider_stream_event", heard)) : undefined;
	};
	const heard = (event: ProviderStreamEvent): void => {
		const whom = { provider: name(event.provider), model: name(event.model), api: name(event.api) };
		quietly(() => framed(state, session, event.data, whom));
	};
	pi.on("session_start", (_event, ctx) => void quietly(() => choose(ctx.model)));
	pi.on("model_select", (event) => void quietly(() => choose(event.model)));
}
// </piece provider_stream_event>

export { onFrame, onResponse };
