import { expect, it } from "vitest";
import type { Stream } from "../host/index.ts";
import { CacheHost, say, seen } from "./cache-driver.ts";

/** Hostcalls of one request and its answer through all stages: what a change makes of them is to be seen here. */

const config = {
  router: { models: [{ model: "m", route: "u", upstreamModel: "served" }] },
  promptCache: { rules: [{ name: "all", key: [] }] },
  rateLimit: {
    rules: [
      {
        name: "all",
        limits: [
          { unit: "tokens", amount: 1e9, per: "day" },
          { unit: "requests", amount: 1e6, per: "minute" },
        ],
      },
    ],
  },
  endpointPicker: {
    pools: [{ name: "p", endpoints: Array.from({ length: 8 }, (_, index) => ({ address: `10.0.0.${index + 1}:80` })) }],
  },
};

const calls = (stream: Stream): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const { during } of stream.trace) counts[during] = (counts[during] ?? 0) + 1;
  return counts;
};

it("a chat of 4 KB through router, cache, limits and picker makes 24 hostcalls, and 5 when the cache has its answer", async () => {
  const cache = await CacheHost.start(config, { wasm: "build/filters/llm-gateway.wasm", rootId: "llm-gateway" });
  const ask = (text: string) => {
    const stream = cache.ask(say(text.padEnd(4_000)));
    if (stream.localReply !== undefined) return stream;
    const [first = ""] = stream.upstream.headers?.get("x-gateway-destination-endpoint")?.split(",") ?? [];
    stream.setAttribute("upstream.address", first);
    return cache.answer(stream);
  };
  // The first requests of a worker take its numbers, and begin its ticks.
  for (let i = 0; i < 4; i++) ask(`before ${i}`);
  const miss = ask("miss");
  expect([seen(miss).cache, calls(miss)]).toEqual([
    "miss",
    {
      // All headers at once.
      proxy_on_request_headers: 1,
      // Body, time; a lookup; a flight (2) and a reservation (2); the model; five headers of route, endpoint and length in two.
      proxy_on_request_body: 10,
      // All headers, who answered, and what clients are told, in one go.
      proxy_on_response_headers: 3,
      // Body, time; the entry (4), and the end of the flight (2).
      proxy_on_response_body: 8,
      // Settlement.
      proxy_on_delete: 2,
    },
  ]);
  expect(miss.hostcalls).toBe(24);
  // The first hit marks the answer as used, the second takes a copy of it.
  ask("miss");
  const second = ask("miss");
  expect([seen(second).cache, second.hostcalls]).toEqual(["hit", 6]);
  const hit = ask("miss");
  expect([seen(hit).cache, hit.hostcalls]).toEqual(["hit", 5]);
});
