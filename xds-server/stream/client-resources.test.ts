import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TypeUrl } from "../../protos/index.ts";
import { createSnapshot, type Resource, type Snapshot, type TypeSnapshot, typeSnapshot } from "../cache/index.ts";
import { ClientResources } from "./client-resources.ts";
import { DeltaSession } from "./delta-session.ts";
import { SotwSession } from "./sotw-session.ts";
import { INITIAL_SUBSCRIPTION, type Subscription } from "./subscription.ts";

const NAMES = ["a", "b", "c", "d"];
const TYPE = TypeUrl.endpoints;

function make(name: string, version: number): Resource {
  return { typeUrl: TYPE, name, version: String(version), any: new Uint8Array(), references: [] };
}

/** Version by name; 0: absent. */
type World = readonly number[];

function snapshotOf(world: World): Snapshot {
  return createSnapshot(NAMES.flatMap((name, index) => (world[index] ? [make(name, world[index])] : [])));
}

const worldOf = fc.array(fc.nat(3), { minLength: NAMES.length, maxLength: NAMES.length });
const stepOf = fc.oneof(
  { weight: 3, arbitrary: worldOf.map((world) => ({ do: "offer" as const, world })) },
  { weight: 2, arbitrary: fc.subarray(NAMES).map((names) => ({ do: "subscribe" as const, names })) },
  { weight: 1, arbitrary: fc.constant({ do: "wildcard" as const }) },
  { weight: 5, arbitrary: fc.constant({ do: "send" as const }) },
  { weight: 2, arbitrary: fc.nat(2).map((count) => ({ do: "send some" as const, count })) },
  // As where something still uses what is gone.
  { weight: 2, arbitrary: fc.constant({ do: "send what is there" as const }) },
  { weight: 5, arbitrary: fc.constant({ do: "accept" as const }) },
  // As of several responses, or of one with a rejected resource.
  { weight: 2, arbitrary: fc.constant({ do: "accept the first" as const }) },
  { weight: 1, arbitrary: fc.subarray(NAMES).map((except) => ({ do: "accept all" as const, except })) },
  { weight: 1, arbitrary: fc.constant({ do: "reject" as const }) },
);
type Step = typeof stepOf extends fc.Arbitrary<infer T> ? T : never;

/** Where offers and subscriptions come from: the same objects for equal ones, or others each time. */
class Source {
  readonly #offers = new Map<string, TypeSnapshot>();
  readonly #subscriptions = new Map<string, Subscription>();
  readonly #shares: boolean;

  constructor(shares: boolean) {
    this.#shares = shares;
  }

  offer(world: World): TypeSnapshot {
    return this.#one(this.#offers, world.join(), () => ({ ...typeSnapshot(snapshotOf(world), TYPE) }));
  }

  subscription(names: readonly string[], wildcard: boolean): Subscription {
    const make = () => ({ ...INITIAL_SUBSCRIPTION, everNamed: true, wildcard, names: new Set(names) });
    return this.#one(this.#subscriptions, `${wildcard} ${names}`, make);
  }

  #one<T>(kept: Map<string, T>, key: string, make: () => T): T {
    const known = this.#shares ? kept.get(key) : undefined;
    if (known !== undefined) return known;
    const fresh = make();
    kept.set(key, fresh);
    return fresh;
  }
}

interface Sent {
  readonly resources: readonly Resource[];
  readonly removed: readonly string[];
}

class Stream {
  state: ClientResources;
  #sent: Sent | undefined;
  readonly #source: Source;

  constructor(source: Source) {
    this.#source = source;
    this.state = ClientResources.initial(TYPE, source.offer([1, 1, 0, 0]));
  }

  do(step: Step): void {
    if (step.do === "offer") this.state = this.state.afterOffer(this.#source.offer(step.world));
    else if (step.do === "subscribe") this.#subscribe(step.names, false);
    else if (step.do === "wildcard") this.#subscribe([], true);
    else if (step.do === "send") this.#send(Number.POSITIVE_INFINITY);
    else if (step.do === "send some") this.#send(step.count);
    else if (step.do === "send what is there") this.#send(Number.POSITIVE_INFINITY, 0);
    else if (step.do === "accept all") this.state = this.state.afterAcceptAll(new Set(step.except));
    else if (step.do === "accept the first")
      this.state = this.state.afterAccept(this.#sent?.resources.slice(0, 1) ?? []);
    else if (this.#sent !== undefined) {
      if (step.do === "accept") this.state = this.state.afterAccept(this.#sent.resources, this.#sent.removed);
      this.#sent = undefined;
    }
  }

  #subscribe(names: readonly string[], wildcard: boolean): void {
    this.state = this.state.afterResubscribe(this.#source.subscription(names, wildcard));
  }

  #send(count: number, gone = count): void {
    if (this.#sent !== undefined) return;
    const { news } = this.state;
    const resources = news.length <= count ? news : news.slice(0, count);
    const removed = [...this.state.pending()].filter((name) => this.state.wanted(name) === undefined).slice(0, gone);
    this.#sent = { resources, removed };
    this.state = this.state.afterSent(resources, removed);
  }

  shown(): string {
    const { state } = this;
    const versions = (of: (name: string) => Resource | undefined) => NAMES.map((name) => of(name)?.version ?? "");
    return JSON.stringify({
      ...{ pending: [...state.pending()].sort(), news: state.news.map(({ name }) => name).sort() },
      wanted: versions((name) => state.wanted(name)),
      sent: versions((name) => state.sent(name)),
      held: versions((name) => state.held(name)),
      allSent: [...state.allSent()].map(({ name }) => name).sort(),
      allHeld: [...state.allHeld()].map(({ name }) => name).sort(),
    });
  }
}

describe("what clients have", () => {
  it("property: is the same whether or not streams share their states", () => {
    const history = fc.array(fc.tuple(fc.nat(2), stepOf), { maxLength: 40 });
    fc.assert(
      fc.property(history, (steps) => {
        const source = new Source(true);
        const fleet = [0, 1, 2].map(() => ({ shared: new Stream(source), alone: new Stream(new Source(false)) }));
        for (const [who, step] of steps) {
          const { shared, alone } = fleet[who] as (typeof fleet)[number];
          shared.do(step);
          alone.do(step);
          // What happens to one changes nothing at the others.
          for (const each of fleet) expect(each.shared.shown()).toBe(each.alone.shown());
        }
      }),
    );
  });
});

describe("a change", () => {
  const [before, after] = [snapshotOf([1, 1, 1, 1]), snapshotOf([2, 2, 1, 1])];
  // A stream hands in the list that others hand in; see NameLists.
  const resourceNames = ["a", "b", "c"];
  const ask = { typeUrl: TYPE, responseNonce: "", versionInfo: "", resourceNames };

  it("is worked out by the first of the streams that are in one state, for all of them", () => {
    const fleet = Array.from({ length: 5 }, () => new SotwSession(before));
    const clients = () => new Set(fleet.map((session) => session.watches.get(TYPE)?.client));
    const settle = () => {
      const planned = fleet.map((session) => session.next(0));
      expect(clients().size).toBe(1);
      for (const [index, session] of fleet.entries()) {
        session.receive({ ...ask, responseNonce: planned[index]?.nonce ?? "" }, 0);
      }
      expect(clients().size).toBe(1);
      return planned;
    };
    for (const session of fleet) expect(session.receive(ask, 0).kind).toBe("subscribe");
    settle();
    for (const session of fleet) session.publish(after);
    expect(clients().size).toBe(1);
    const planned = settle();
    expect(new Set(planned.map((each) => each?.resources)).size).toBe(1);
    expect(planned[0]?.resources.map(({ name }) => name)).toEqual(["a", "b"]);
    // Up to date, and nothing kept but that.
    expect([...clients()][0]?.pendingCount).toBe(0);
  });

  it("is one list for all streams of the incremental variant that take everything", () => {
    const typeUrl = TypeUrl.cluster;
    const [first, next] = [1, 2].map((version) =>
      createSnapshot([1, version].map((each, index) => ({ ...make(NAMES[index] as string, each), typeUrl }))),
    ) as [Snapshot, Snapshot];
    const fleet = Array.from({ length: 3 }, () => new DeltaSession(first));
    const request = { typeUrl, subscribe: [], unsubscribe: [], initialVersions: new Map(), responseNonce: "" };
    for (const session of fleet) {
      session.receive(request, 0);
      session.receive({ ...request, responseNonce: session.next(0)?.nonce ?? "" }, 0);
    }
    for (const session of fleet) session.publish(next);
    const planned = new Set(fleet.map((session) => session.next(0)?.resources));
    expect([...planned].map((list) => list?.map((each) => "name" in each && each.name))).toEqual([["b"]]);
  });

  it("that is sent or accepted in part is not taken for the whole, whoever was first", () => {
    const everything = { ...INITIAL_SUBSCRIPTION, wildcard: true };
    const started = ClientResources.initial(TYPE, typeSnapshot(before, TYPE)).afterResubscribe(everything);
    const settled = started.afterSent(started.news).afterAcceptAll();
    const due = settled.afterOffer(typeSnapshot(snapshotOf([2, 2, 1, 0]), TYPE));
    const [first] = due.news;
    for (let round = 0; round < 2; round++) {
      expect(due.afterSent(due.news).pendingCount).toBe(1);
      expect(due.afterSent(due.news, ["d"]).pendingCount).toBe(0);
      const sent = due.afterSent(due.news);
      const held = (state: ClientResources) => ["a", "b"].map((name) => state.held(name)?.version);
      expect(held(sent.afterAccept(due.news))).toEqual(["2", "2"]);
      expect(held(sent.afterAccept(first === undefined ? [] : [first]))).toEqual(["2", "1"]);
    }
  });

  it("of everything is the list of everything", () => {
    const state = ClientResources.initial(TYPE, typeSnapshot(before, TYPE)).afterResubscribe({
      ...INITIAL_SUBSCRIPTION,
      wildcard: true,
    });
    expect(state.news.map(({ name }) => name)).toEqual(NAMES);
    expect(state.afterSent(state.news).pendingCount).toBe(0);
  });
});
