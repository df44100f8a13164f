// Test extension: a provider `plain` whose requests go over node:http, and whose key pi knows. PLAIN_URL and PLAIN_KEY.
import * as http from "node:http";

const { PLAIN_URL: baseUrl = "", PLAIN_KEY: apiKey = "" } = process.env;

function post(key: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = { "x-api-key": key, "content-type": "application/json" };
    const request = http.request(`${baseUrl}/v1/messages`, { method: "POST", headers }, async (response) => {
      let body = "";
      for await (const part of response) body += part;
      resolve(`${response.statusCode} ${body}`);
    });
    request.on("error", reject);
    request.end('{"model":"m"}');
  });
}

function streamSimple(model: any, _context: any, options: any) {
  const cost = { input: 0, output: 0, cacheRead: 0, cacheWrite: 0, total: 0 };
  const usage = { input: 0, output: 0, cacheRead: 0, cacheWrite: 0, totalTokens: 0, cost };
  const names = { role: "assistant", content: [], api: model.api, provider: model.provider, model: model.id };
  const result = post(options.apiKey).then((errorMessage) => ({
    ...names, usage, stopReason: "error", errorMessage, timestamp: Date.now(),
  }));
  return {
    result: () => result,
    async *[Symbol.asyncIterator]() {
      yield { type: "error", reason: "error", error: await result };
    },
  };
}

export default function (pi: any) {
  const limits = { reasoning: false, input: ["text"], contextWindow: 200000, maxTokens: 100 };
  const models = [{ id: "m", name: "m", cost: { input: 3, output: 15, cacheRead: 0, cacheWrite: 0 }, ...limits }];
  pi.registerProvider("plain", { baseUrl, apiKey, api: "plain-http", models, streamSimple });
}
