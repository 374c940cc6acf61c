import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type ProxyWasmHost, Status } from "../../test/host/index.ts";
import {
  begin,
  type FlightWorker,
  get,
  type Key,
  type Outcome,
  outcomes,
  set,
  startFlights,
} from "../../test/state/flight-driver.ts";

/** Workers whose requests come, end, leave and trap at any point of each other's reads and writes: who leads, and that nobody is forgotten. */

const WORKERS = 3;
/** Of an idle VM. */
const TICK = 450;
/** Two keys of one set, and two of others. */
const keys: readonly Key[] = [
  [5n, 1n],
  [5n, 2n],
  [6n, 1n],
  [7n, 1n],
];

interface Request {
  id: number;
  key: number;
  until: number;
  leads: boolean;
}

interface Seat {
  flights: FlightWorker;
  requests: Map<number, Request>;
  /** Until when it is stuck: no tick, no event. */
  stuckUntil: number;
}

/** A cache stage on each worker, as simple as it can be. */
class Simulation {
  readonly seats: Seat[];
  readonly stored = new Set<number>();
  now = begin;
  /** Leaders that came while there was another one, or an answer. */
  doubles = 0;
  needless = 0;
  alone = 0;
  late = 0;
  served = 0;
  #id = 0;
  readonly #host: ProxyWasmHost;
  readonly #start: (worker: number) => FlightWorker;

  constructor(host: ProxyWasmHost, start: (worker: number) => FlightWorker) {
    this.#host = host;
    this.#start = start;
    this.seats = Array.from({ length: WORKERS }, (_, worker) => this.#seat(worker));
  }

  #seat(worker: number): Seat {
    const flights = this.#start(worker);
    flights.clock(this.now);
    return { flights, requests: new Map(), stuckUntil: 0 };
  }

  isStuck(worker: number): boolean {
    return (this.seats[worker] as Seat).stuckUntil > this.now;
  }

  #leads(key: number): void {
    if (this.stored.has(key)) this.needless++;
    let others = 0;
    for (const { requests } of this.seats) {
      for (const request of requests.values()) if (request.leads && request.key === key) others++;
    }
    if (others > 0) this.doubles++;
  }

  /** Looks into the cache, and asks for the flight. */
  join(worker: number, key: number, wait: number, id = ++this.#id, again = false): void {
    if (this.stored.has(key)) {
      this.served++;
      return;
    }
    const seat = this.seats[worker] as Seat;
    const until = this.now + wait;
    const { role, ticket } = seat.flights.join(keys[key] as Key, id, this.now, { wait, again });
    if (role === "look") this.join(worker, key, wait, id, true);
    else if (role === "alone") this.alone++;
    else {
      expect(seat.requests.has(ticket)).toBe(false);
      if (role === "leader") this.#leads(key);
      seat.requests.set(ticket, { id, key, until, leads: role === "leader" });
    }
    this.hear(worker);
  }

  /** Takes the news of a worker, and does what they say. */
  hear(worker: number): void {
    const seat = this.seats[worker] as Seat;
    for (const { board, id, ticket, news } of seat.flights.told()) {
      if (board !== seat.flights.number) continue;
      const request = seat.requests.get(ticket);
      // Who has left, ends or leads is told nothing, and nobody twice.
      expect(request).toMatchObject({ id, leads: false });
      if (!request) continue;
      if (news === "lead") {
        this.#leads(request.key);
        request.leads = true;
        continue;
      }
      seat.requests.delete(ticket);
      if (news === "alone") this.alone++;
      else if (this.stored.has(request.key)) this.served++;
      else this.join(worker, request.key, request.until - this.now, request.id, true);
    }
  }

  #pick(worker: number, which: number, leads: boolean): [number, Request] | undefined {
    const found = [...(this.seats[worker] as Seat).requests].filter(([, request]) => request.leads === leads);
    return found[which % Math.max(1, found.length)];
  }

  finish(worker: number, which: number, outcome: Outcome): void {
    const seat = this.seats[worker] as Seat;
    const [ticket, request] = this.#pick(worker, which, true) ?? [];
    if (ticket === undefined || !request) return;
    if (outcome === "stored") this.stored.add(request.key);
    seat.requests.delete(ticket);
    seat.flights.finish(ticket, outcome, this.now);
    this.hear(worker);
  }

  leave(worker: number, which: number): void {
    const seat = this.seats[worker] as Seat;
    const [ticket] = this.#pick(worker, which, false) ?? [];
    if (ticket === undefined) return;
    seat.requests.delete(ticket);
    seat.flights.leave(ticket, this.now);
    this.hear(worker);
  }

  trap(worker: number): void {
    (this.seats[worker] as Seat).flights.kill();
    this.seats[worker] = this.#seat(worker);
  }

  /** Letters that lie in the queue of a number are lost. */
  lose(scope: string, number: number): void {
    const queue = this.#host.sharedQueues.resolve("", `tm.pf.1.${scope}.q${number}`);
    while (queue !== 0 && this.#host.sharedQueues.length(queue) > 0) this.#host.sharedQueues.dequeue(queue);
  }

  deliver(): void {
    this.#host.turn();
    for (let worker = 0; worker < WORKERS; worker++) this.hear(worker);
  }

  tick(worker: number): void {
    (this.seats[worker] as Seat).flights.tick(this.now);
    this.hear(worker);
  }

  /** Time passes, and all tick that are not stuck. */
  pass(ms: number): void {
    for (let rest = ms; rest > 0; rest -= TICK) {
      this.now += Math.min(rest, TICK);
      for (const [worker, { flights, requests, stuckUntil }] of this.seats.entries()) {
        flights.clock(this.now);
        if (this.isStuck(worker)) continue;
        this.tick(worker);
        if (stuckUntil > this.now - TICK) continue;
        for (const { leads, until } of requests.values()) if (!leads && until + TICK < this.now) this.late++;
      }
    }
  }

  get open(): number {
    return this.seats.reduce((sum, { requests }) => sum + requests.size, 0);
  }

  sum(figure: "unshared" | "lost" | "takeovers" | "handovers" | "timeouts" | "waiting" | "running"): number {
    return this.seats.reduce((sum, { flights }) => sum + flights.report()[figure], 0);
  }
}

const worker = fc.nat(WORKERS - 1);
const key = fc.nat(keys.length - 1);
const event = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({ what: fc.constant("join" as const), worker, key, wait: fc.constantFrom(60_000, 300) }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      what: fc.constant("finish" as const),
      worker,
      which: fc.nat(3),
      outcome: fc.constantFrom(...outcomes),
    }),
  },
  { weight: 3, arbitrary: fc.record({ what: fc.constant("leave" as const), worker, which: fc.nat(3) }) },
  { weight: 6, arbitrary: fc.record({ what: fc.constant("deliver" as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({ what: fc.constant("pass" as const), ms: fc.constantFrom(1, 100, 450, 2000, 4000) }),
  },
  { weight: 2, arbitrary: fc.record({ what: fc.constant("expires" as const), key }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant("trap" as const), worker }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant("lose" as const), number: fc.nat(5) }) },
);
type Event = typeof event extends fc.Arbitrary<infer T> ? T : never;
/** What happens between two accesses of another worker to shared data. */
const step = fc.record({ event, between: fc.option(fc.record({ event, access: fc.nat(5) }), { freq: 3 }) });
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;
const trouble = fc.oneof(
  { weight: 6, arbitrary: fc.constant(undefined) },
  { weight: 2, arbitrary: fc.record({ stuck: worker, ms: fc.constantFrom(2500, 5000, 9000) }) },
  {
    weight: 1,
    arbitrary: fc.record({ call: fc.constantFrom(get, set), nth: fc.integer({ min: 1, max: 4 }), times: fc.nat(10) }),
  },
);

function happen(simulation: Simulation, scope: string, event: Event): void {
  if ("worker" in event && simulation.isStuck(event.worker)) return;
  if (event.what === "join") simulation.join(event.worker, event.key, event.wait);
  else if (event.what === "finish") simulation.finish(event.worker, event.which, event.outcome);
  else if (event.what === "leave") simulation.leave(event.worker, event.which);
  else if (event.what === "deliver") simulation.deliver();
  else if (event.what === "pass") simulation.pass(event.ms);
  else if (event.what === "expires") simulation.stored.delete(event.key);
  else if (event.what === "trap") simulation.trap(event.worker);
  else simulation.lose(scope, event.number);
}

/** All leaders bring their answers: then nobody may be left, long before anybody's time is over. */
function windUp(simulation: Simulation): void {
  for (const seat of simulation.seats) seat.stuckUntil = 0;
  for (let ms = 0; ms < 9000 && simulation.open > 0; ms += TICK) {
    simulation.pass(TICK);
    simulation.deliver();
    for (let worker = 0; worker < WORKERS; worker++) {
      for (let left = 20; left > 0; left--) simulation.finish(worker, 0, "stored");
    }
  }
  simulation.deliver();
  expect(simulation.open).toBe(0);
  expect([simulation.sum("waiting"), simulation.sum("running")]).toEqual([0, 0]);
}

async function simulating() {
  const { host, again } = await startFlights(WORKERS);
  let runs = 0n;
  return {
    host,
    next() {
      const scope = ++runs;
      const simulation = new Simulation(host, (worker) => again(worker, scope));
      return { simulation, scope: scope.toString(16).padStart(16, "0") };
    },
  };
}

/** One step, with another worker's in the middle of it. */
function take(host: ProxyWasmHost, simulation: Simulation, scope: string, { event, between }: Step) {
  let access = 0;
  let met = false;
  if (between && "worker" in event) {
    host.sharedData.interleave = ({ thread }) => {
      if (thread !== event.worker + 1 || access++ !== between.access) return;
      const inner = between.event;
      if (!("worker" in inner) || inner.worker === event.worker) return;
      met = true;
      happen(simulation, scope, inner);
    };
  }
  happen(simulation, scope, event);
  host.sharedData.interleave = undefined;
  return met;
}

describe("flights of three workers", () => {
  it("have one leader each, and nobody waits for nothing", { timeout: 120_000 }, async () => {
    const { host, next } = await simulating();
    const seen = { met: 0, takeovers: 0, handovers: 0, served: 0, alone: 0 };
    fc.assert(
      fc.property(fc.array(step, { minLength: 5, maxLength: 60 }), (steps) => {
        const { simulation, scope } = next();
        for (const one of steps) if (take(host, simulation, scope, one)) seen.met++;
        windUp(simulation);
        expect([simulation.doubles, simulation.needless, simulation.late]).toEqual([0, 0, 0]);
        expect([simulation.sum("unshared"), simulation.sum("lost")]).toEqual([0, 0]);
        for (const figure of ["takeovers", "handovers"] as const) seen[figure] += simulation.sum(figure);
        seen.served += simulation.served;
        seen.alone += simulation.alone;
        for (const { flights } of simulation.seats) {
          flights.release(simulation.now);
          flights.hostcalls();
        }
      }),
      { numRuns: 300 },
    );
    expect(seen.met).toBeGreaterThan(150);
    expect(seen.takeovers).toBeGreaterThan(20);
    expect(seen.handovers).toBeGreaterThan(50);
    expect(seen.served).toBeGreaterThan(300);
    expect(seen.alone).toBeGreaterThan(100);
  });

  it("have two only when a worker is stuck or the host refuses, and then nobody is forgotten either", {
    timeout: 120_000,
  }, async () => {
    const { host, next } = await simulating();
    const seen = { doubles: 0, takeovers: 0, unshared: 0 };
    fc.assert(
      fc.property(fc.array(fc.tuple(step, trouble), { minLength: 5, maxLength: 60 }), (steps) => {
        const { simulation, scope } = next();
        for (const [one, trouble] of steps) {
          if (trouble && "stuck" in trouble) {
            const seat = simulation.seats[trouble.stuck] as Seat;
            seat.stuckUntil = simulation.now + trouble.ms;
          } else if (trouble) host.faults.inject({ ...trouble, status: Status.InternalFailure });
          take(host, simulation, scope, one);
        }
        host.faults.clear();
        const { doubles } = simulation;
        const excuses = simulation.sum("unshared") + simulation.sum("takeovers") + simulation.sum("lost");
        windUp(simulation);
        expect(simulation.late).toBe(0);
        seen.doubles += doubles;
        seen.takeovers += simulation.sum("takeovers");
        seen.unshared += simulation.sum("unshared");
        // What traps takes its figures along.
        const trapped = steps.some(([{ event, between }]) => event.what === "trap" || between?.event.what === "trap");
        if (!trapped && excuses === 0) expect(doubles).toBe(0);
        for (const { flights } of simulation.seats) {
          flights.release(simulation.now);
          flights.hostcalls();
        }
      }),
      { numRuns: 300 },
    );
    expect(seen.doubles).toBeGreaterThan(20);
    expect(seen.takeovers).toBeGreaterThan(0);
    expect(seen.unshared).toBeGreaterThan(50);
  });
});
