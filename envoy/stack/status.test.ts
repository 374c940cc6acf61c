import { expect, test } from "vitest";
import { type Sample, statusBetween, statusLine } from "./status.ts";

const sample = (at: number, requests: number, tokens: number): Sample => ({
  at,
  requests,
  clientErrors: 3,
  serverErrors: 1,
  replicas: [
    { name: "a", inFlight: 2, served: 10, tokens },
    { name: "b", inFlight: 0, served: 5, tokens: 100 },
  ],
  envoyRssBytes: 64 * 1048576,
  xds: { accepted: 6, rejected: 0, unsettled: [], configErrors: 0 },
});

test("rates come from the difference, errors and xDS counts are totals", () => {
  const status = statusBetween(sample(1000, 10, 50), sample(3000, 25, 150));
  expect(status).toMatchObject({ requestsPerSecond: 7.5, tokensPerSecond: 50, clientErrors: 3, serverErrors: 1 });
  expect(statusLine(status)).toBe(
    "7.5 req/s | 3 4xx 1 5xx | 50 tok/s | envoy 64 MB | xds synced, 6 ack 0 nack | in flight/served a 2/10 b 0/5",
  );
});

test("what is not settled is said", () => {
  const xds = { accepted: 6, rejected: 1, unsettled: ["LDS nacked"], configErrors: 2 };
  const line = statusLine(statusBetween(sample(0, 0, 0), { ...sample(1000, 0, 0), xds }));
  expect(line).toContain("xds LDS nacked, 6 ack 1 nack, 2 config errors");
});

test("two samples at the same instant give finite rates", () => {
  expect(statusBetween(sample(1000, 1, 1), sample(1000, 2, 2)).requestsPerSecond).toBe(1000);
});

test("a narrow terminal gets a line of its width", () => {
  const line = statusLine(statusBetween(sample(0, 0, 0), sample(1000, 1, 1)), 20);
  expect(line).toHaveLength(20);
  expect(line.endsWith("…")).toBe(true);
});
