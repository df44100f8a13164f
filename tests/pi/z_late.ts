// Test extension: puts the fetch of its load back in each request, after the handlers of the extensions loaded before it.
const atLoad = globalThis.fetch;
const own: typeof fetch = (...request) => atLoad(...request);

export default function (pi: any) {
  pi.on("before_provider_request", async () => {
    await new Promise((resolve) => setImmediate(resolve));
    globalThis.fetch = own;
  });
}
