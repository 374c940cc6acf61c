import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { encode } from "../../protos/index.ts";
import { createSnapshot, SnapshotCache } from "../cache/index.ts";
import { Status, type StreamCall } from "../grpc/index.ts";
import { silentLogger } from "../log.ts";
import { Admission } from "./admission.ts";
import { ADS_DELTA_PATH, DISCOVERY_METHODS } from "./discovery-services.ts";
import { DiscoveryStream } from "./discovery-stream.ts";
import { NameLists } from "./discovery-wire.ts";
import { MAX_EARLY_BYTES } from "./limits.ts";
import { createMetrics } from "./metrics.ts";
import { PushQueue } from "./push-queue.ts";
import { SharedBodies } from "./shared-bodies.ts";
import { StreamRegistry } from "./stream-registry.ts";

/** A stream that waits for its turn, without a connection: what it holds of an impatient client. */

/** What a stream does to its call. */
class FakeCall {
  readonly peer = { address: "127.0.0.1:1", spiffeId: undefined };
  ended = false;
  end: StreamCall["end"] = (status, message = "") => {
    this.ended = true;
    this.endedWith.push([status, message]);
    this.onClose();
  };
  readonly endedWith: (readonly [Status, string])[] = [];
  onMessage: (message: Buffer) => void = () => {};
  onClose = (): void => {};
  readonly run = (work: () => void): void => {
    if (!this.ended) work();
  };
  readonly write = (): boolean => true;
}

describe("a discovery stream that waits for its turn", () => {
  let registry: StreamRegistry;
  let call: FakeCall;
  const method = DISCOVERY_METHODS.find(({ path }) => path === ADS_DELTA_PATH);

  beforeEach(() => {
    vi.useFakeTimers();
    registry = new StreamRegistry();
    const cache = new SnapshotCache();
    cache.set("default", createSnapshot([]));
    call = new FakeCall();
    if (method === undefined) throw new Error("no ADS");
    const admission = new Admission({ perSecond: 2, burst: 1, waitMs: 1_000, clock: () => 0 });
    admission.ask();
    const queue = new PushQueue({ defer: () => {}, soon: () => {}, clock: () => 0, sliceMs: 5 });
    new DiscoveryStream(call as unknown as StreamCall, method, {
      ...{ cache, registry, metrics: createMetrics(), log: silentLogger, names: new NameLists(), maxStreams: 10 },
      ...{ bodies: new SharedBodies("test"), queue, authorize: () => undefined },
      ...{ admission, now: () => 0, clock: () => 0 },
    });
  });
  afterEach(() => vi.useRealTimers());

  /** One that has a type of `bytes` characters, so that nothing else is done with it. */
  const request = (bytes: number, more: object = {}) =>
    Buffer.from(encode("envoy.service.discovery.v3.DeltaDiscoveryRequest", { ...more, type_url: "x".repeat(bytes) }));

  it("keeps its requests until then, as many as fit", () => {
    const first = request(100, { node: { id: "n" } });
    call.onMessage(first);
    const rest = request(MAX_EARLY_BYTES - first.length - 5);
    expect(first.length + rest.length).toBe(MAX_EARLY_BYTES);
    call.onMessage(rest);
    expect([call.endedWith, registry.size]).toEqual([[], 0]);
    vi.advanceTimersByTime(500);
    expect([[...registry].map(({ node }) => node.id), call.ended]).toEqual([["n"], false]);
    call.end(Status.ok);
  });

  it("ends when they are more, and begins no session then", () => {
    call.onMessage(request(100, { node: { id: "n" } }));
    call.onMessage(request(MAX_EARLY_BYTES / 2));
    expect(call.ended).toBe(false);
    call.onMessage(request(MAX_EARLY_BYTES / 2));
    expect(call.endedWith).toEqual([[Status.resourceExhausted, "too many requests before the first answer"]]);
    vi.advanceTimersByTime(60_000);
    expect([registry.size, vi.getTimerCount()]).toEqual([0, 0]);
  });
});
