import { afterEach, describe, expect, it, vi } from "vitest";
import { waitFor } from "../../../envoy/harness/index.ts";
import { LOOK_MS, MAX_ENVOYS, MAX_POLLERS, MAX_PURGE_LOG } from "./limits.ts";
import { MemoryStore, type MemoryStoreOptions } from "./memory-store.ts";
import { NO_HASH, type PurgesAnswer, type PurgesRequest } from "./protocol.ts";
import { ALL, type Purge, PurgeKind, type PurgeState, type PurgeTarget } from "./purge.ts";
import { PurgeFeed } from "./purge-feed.ts";
import { StoreError } from "./store.ts";

/** Long polls, over a store of this server's own and over one that others write to as well. */

const MODEL: PurgeTarget = { kind: PurgeKind.model, hash: "1".repeat(16) };

/** As memory, but as if other servers had it too. */
class SharedStore extends MemoryStore {
  override readonly shared = true;
  looks = 0;
  fault: StoreError | undefined;

  override async purges(): Promise<PurgeState> {
    this.looks++;
    if (this.fault !== undefined) throw this.fault;
    return super.purges();
  }
}

const feeds: PurgeFeed[] = [];
afterEach(() => {
  for (const feed of feeds.splice(0)) feed.close();
});

function start<Store extends MemoryStore>(Kind: new (options: MemoryStoreOptions) => Store) {
  const clock = { now: 1_000 };
  const now = () => clock.now;
  const store = new Kind({ maxBytes: 1e6, now });
  const feed = new PurgeFeed(store, now);
  feeds.push(feed);
  return { clock, store, feed };
}

const request = (more: Partial<PurgesRequest> = {}): PurgesRequest => ({
  epoch: NO_HASH,
  since: 0,
  envoy: "",
  waitMs: 10_000,
  ...more,
});

const ask = (feed: PurgeFeed, more: Partial<PurgesRequest> = {}) =>
  new Promise<PurgesAnswer>((resolve, reject) => {
    if (feed.ask(request(more), resolve) === undefined) reject(new Error("refused"));
  });

/** What one who asks again and again has in the end. */
async function follow(feed: PurgeFeed, until: number): Promise<readonly Purge[]> {
  const told: Purge[] = [];
  let { epoch, sequence } = { epoch: NO_HASH, sequence: 0 };
  while (sequence < until) {
    const answer = await ask(feed, { epoch, since: sequence });
    told.push(...answer.purges);
    ({ epoch, sequence } = answer);
  }
  return told;
}

describe.each([
  ["a store of its own", MemoryStore],
  ["a store that others have too", SharedStore],
])("the feed over %s", (_what, Kind) => {
  it("tells a newcomer the epoch at once, and then waits", async () => {
    const { feed, store } = start(Kind);
    const { epoch, sequence } = await store.purges();
    expect(await ask(feed)).toEqual({ epoch, sequence, now: 1_000, purges: [] });
    const waiting = ask(feed, { epoch, since: sequence, waitMs: 30 });
    await waitFor(() => feed.waiting === 1, { what: "the call to wait" });
    expect(await waiting).toEqual({ epoch, sequence, now: 1_000, purges: [] });
    expect(feed.waiting).toBe(0);
  });

  it("wakes all that wait with a purge, which is one step", async () => {
    const { feed } = start(Kind);
    const { epoch } = await ask(feed);
    const waiting = Array.from({ length: 50 }, () => ask(feed, { epoch, since: 0 }));
    await waitFor(() => feed.waiting === 50, { what: "all of them" });
    const purge = await feed.purge(MODEL);
    expect(purge).toEqual({ ...MODEL, at: 1_000, sequence: 1 });
    expect(feed.waiting).toBe(0);
    for (const answer of await Promise.all(waiting))
      expect(answer).toEqual({ epoch, sequence: 1, now: 1_000, purges: [purge] });
  });

  it("loses none of many purges that come while somebody reads them in pieces", async () => {
    const { feed } = start(Kind);
    const reading = follow(feed, 200);
    const made: Purge[] = [];
    for (let n = 0; n < 200; n++) made.push(await feed.purge({ ...MODEL, hash: n.toString(16).padStart(16, "0") }));
    expect(await reading).toEqual(made);
    expect(await follow(feed, 200)).toEqual(made);
  });

  it("tells one from another epoch everything, and one who is too far behind to drop it all", async () => {
    const { feed } = start(Kind);
    for (let n = 0; n < 3; n++) await feed.purge(MODEL);
    expect((await ask(feed, { epoch: "f".repeat(16), since: 3 })).purges.map(({ sequence }) => sequence)).toEqual([
      1, 2, 3,
    ]);
    for (let n = 0; n < MAX_PURGE_LOG; n++) await feed.purge(MODEL);
    const [first, ...others] = await follow(feed, MAX_PURGE_LOG + 3);
    expect(first).toEqual({ ...ALL, at: 1_000, sequence: 3 });
    expect(others).toHaveLength(MAX_PURGE_LOG);
  });

  it("forgets one that has gone, and refuses one too many", async () => {
    const { feed } = start(Kind);
    const { epoch } = await ask(feed);
    let told = 0;
    const cancels = Array.from({ length: MAX_POLLERS }, () => feed.ask(request({ epoch }), () => told++));
    expect(feed.ask(request({ epoch }), () => told++)).toBeUndefined();
    for (const cancel of cancels) cancel?.();
    expect(feed.waiting).toBe(0);
    await feed.purge(MODEL);
    expect(told).toBe(0);
  });

  it("answers all that wait when it is closed, and nobody from then on", async () => {
    const { feed } = start(Kind);
    const { epoch } = await ask(feed);
    const waiting = ask(feed, { epoch });
    feed.close();
    expect(await waiting).toEqual({ epoch, sequence: 0, now: 1_000, purges: [] });
    expect(feed.ask(request(), () => {})).toBeUndefined();
  });

  it("shows which Envoys have every purge; so many that asked last", async () => {
    const { feed, clock } = start(Kind);
    const { epoch } = await ask(feed, { envoy: "a" });
    await feed.purge(MODEL);
    await ask(feed, { epoch, envoy: "a" });
    await ask(feed, { epoch, since: 1, envoy: "b", waitMs: 1 });
    clock.now += 50;
    expect(await feed.view()).toEqual({
      sequence: 1,
      waiting: 0,
      envoys: [
        { envoy: "a", upToDate: false, askedMsAgo: 50 },
        { envoy: "b", upToDate: true, askedMsAgo: 50 },
      ],
    });
    for (let n = 0; n < MAX_ENVOYS; n++) feed.ask(request({ envoy: `e${n}` }), () => {})?.();
    const { envoys } = await feed.view();
    expect([envoys.length, envoys[0]?.envoy]).toEqual([MAX_ENVOYS, "e0"]);
  });
});

describe("the feed over a store that others have too", () => {
  it("finds out what others purge with its next look, and looks only while somebody waits", async () => {
    vi.useFakeTimers();
    try {
      const { feed, store } = start(SharedStore);
      const { epoch } = await ask(feed);
      const waiting = ask(feed, { epoch });
      await vi.advanceTimersByTimeAsync(3 * LOOK_MS);
      expect(feed.waiting).toBe(1);
      const purge = await store.purge(MODEL, 900);
      await vi.advanceTimersByTimeAsync(LOOK_MS);
      expect((await waiting).purges).toEqual([purge]);
      expect(vi.getTimerCount()).toBe(0);
      await store.purge(MODEL, 901);
      expect((await ask(feed, { epoch, since: 1 })).purges).toHaveLength(1);
      expect(store.looks).toBeLessThan(10);
    } finally {
      vi.useRealTimers();
    }
  });

  it("says nothing new while the store is away, and goes on when it is back", async () => {
    const { feed, store } = start(SharedStore);
    const { epoch } = await ask(feed);
    store.fault = new StoreError("unavailable", "away");
    expect(await ask(feed, { epoch, since: 0, waitMs: 20 })).toMatchObject({ epoch, sequence: 0, purges: [] });
    expect(await ask(feed, { epoch: "f".repeat(16), since: 9, waitMs: 20 })).toMatchObject({
      epoch: "f".repeat(16),
      sequence: 9,
    });
    expect(await feed.view()).toMatchObject({ sequence: null });
    const waiting = ask(feed, { epoch });
    await store.purge(MODEL, 900);
    store.fault = undefined;
    expect((await waiting).purges).toHaveLength(1);
  });
});
