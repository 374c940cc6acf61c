import fc from "fast-check";
import { expect, it } from "vitest";
import type { Stream } from "../host/index.ts";
import { LimitHost, outcome } from "./rate-limit-driver.ts";
import { LedgerService, type Mood, ServiceDriver } from "./rate-limit-service.ts";

/**
 * Two Envoys with two workers each on one ledger, which answers, fails, or loses its answers. Whatever happens, the requests of a window use no more than its amount, and in the
 * end the ledger has counted each token once: what requests used, and reservations of which the answer was lost.
 */

const AMOUNT = 1_000;
const MINUTE = 60_000;
const team = (name: string): [string, string][] => [["x-team", name]];
const PROMPT = 10;
/** Estimated at 10 tokens of prompt and `max` of answer. */
const body = (max: number) => ({ model: "m", messages: [{ role: "user", content: "x".repeat(40) }], max_tokens: max });

const act = fc.oneof(
  { weight: 8, arbitrary: fc.record({ ask: fc.record({ envoy: fc.nat(1), worker: fc.nat(1), max: fc.nat(400) }) }) },
  // Ends one of those that run, having used that share of its reservation; or breaks it off before or behind the service's answer.
  {
    weight: 6,
    arbitrary: fc.record({ end: fc.record({ which: fc.nat(9), share: fc.double({ min: 0, max: 1, noNaN: true }) }) }),
  },
  { weight: 1, arbitrary: fc.record({ abort: fc.record({ which: fc.nat(9) }) }) },
  { weight: 4, arbitrary: fc.constant({ settle: true }) },
  { weight: 3, arbitrary: fc.record({ forward: fc.constantFrom(10, 300, 2_000, 20_000, MINUTE) }) },
  { weight: 2, arbitrary: fc.record({ mood: fc.constantFrom<Mood>("answer", "answer", "fail", "lose") }) },
);
type Act = typeof act extends fc.Arbitrary<infer T> ? T : never;

interface Running {
  readonly stream: Stream;
  readonly envoy: number;
  readonly reserved: number;
  /** Window of its admission; undefined while it waits for the service. */
  window: number | undefined;
}

class World {
  readonly kept = new LedgerService();
  readonly envoys: { gateway: LimitHost; driver: ServiceDriver }[] = [];
  readonly running: Running[] = [];
  /** Tokens by window of admission. */
  readonly used = new Map<number, number>();
  admitted = 0;

  static async start(rule: object): Promise<World> {
    const world = new World();
    for (let i = 0; i < 2; i++) {
      const config = {
        service: { cluster: "ledger" },
        rules: [
          {
            name: "team",
            key: [{ header: "x-team" }],
            onFailure: "closed",
            ...rule,
            limits: [{ unit: "tokens", amount: AMOUNT, per: "minute" }],
          },
        ],
      };
      // Two machines have nothing in common, least of all their random numbers.
      const gateway = await LimitHost.start(config, { workers: 2, seed: i + 1 });
      world.envoys.push({ gateway, driver: new ServiceDriver(gateway.host, world.kept) });
    }
    return world;
  }

  /** Tokens that are to be charged in the end, by strict rules, as long as no window is over. */
  get charged(): number {
    const used = [...this.used.values()].reduce((sum, tokens) => sum + tokens, 0);
    return this.envoys.reduce((sum, { driver }) => sum + driver.lost, used);
  }

  get now(): number {
    return Number((this.envoys[0]?.gateway.host.clock.realtimeNs ?? 0n) / 1_000_000n);
  }

  async do(step: Act): Promise<void> {
    if ("ask" in step) {
      const { envoy, worker, max } = step.ask;
      const stream = this.envoys[envoy]?.gateway.ask(body(max), team("a"), worker);
      if (stream) this.running.push({ stream, envoy, reserved: Math.min(PROMPT + max, AMOUNT), window: undefined });
    } else if ("end" in step) this.#end(step.end.which, step.end.share);
    else if ("abort" in step) this.#abort(step.abort.which);
    else if ("settle" in step) for (const { driver } of this.envoys) await driver.settle();
    else if ("forward" in step) for (const { gateway } of this.envoys) gateway.host.advance(step.forward);
    else for (const { driver } of this.envoys) driver.mood = step.mood;
    this.#look();
  }

  /** Ends everything, and waits until the ledger knows it. */
  async rest(seconds: number): Promise<void> {
    for (const { driver } of this.envoys) driver.mood = "answer";
    for (let i = 0; i < 3; i++) for (const { driver } of this.envoys) await driver.settle();
    this.#look();
    while (this.running.length > 0) this.#end(0, 0.5);
    for (let i = 0; i < 2 * seconds; i++) {
      for (const { gateway, driver } of this.envoys) {
        gateway.host.advance(500);
        await driver.settle();
      }
    }
  }

  /** Who was admitted just now. */
  #look(): void {
    for (const one of this.running) {
      if (one.window !== undefined || outcome(one.stream) !== "ok") continue;
      one.window = Math.floor(this.now / MINUTE);
      this.admitted++;
    }
    for (let i = this.running.length - 1; i >= 0; i--) {
      if (/^[45]/.test(outcome(this.running[i]?.stream as Stream))) this.running.splice(i, 1);
    }
  }

  #take(which: number): Running | undefined {
    return this.running.length === 0 ? undefined : this.running.splice(which % this.running.length, 1)[0];
  }

  /** The client goes away: a prompt that was sent on was worked on. */
  #abort(which: number): void {
    const one = this.#take(which);
    one?.stream.end();
    if (one?.window !== undefined) this.#count(one.window, Math.min(PROMPT, one.reserved));
  }

  #count(window: number, tokens: number): void {
    this.used.set(window, (this.used.get(window) ?? 0) + tokens);
  }

  #end(which: number, share: number): void {
    const one = this.#take(which);
    if (!one) return;
    if (one.window === undefined) {
      one.stream.end();
      return;
    }
    const output = Math.floor(Math.max(0, one.reserved - PROMPT) * share);
    const input = Math.min(PROMPT, one.reserved);
    this.envoys[one.envoy]?.gateway.answer(one.stream, { input, output });
    this.#count(one.window, input + output);
  }
}

it.each([
  ["strict", {}],
  ["leased", { leasePercent: 20 }],
] as const)(
  "uses no more than the amount of any window, over all Envoys: %s",
  { timeout: 300_000 },
  async (mode, more) => {
    let admitted = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(act, { maxLength: 60 }), async (acts) => {
        const world = await World.start({ mode, ...more });
        for (const step of acts) await world.do(step);
        await world.rest(90);
        for (const [, tokens] of world.used) expect(tokens).toBeLessThanOrEqual(AMOUNT);
        for (const { gateway, driver } of world.envoys) {
          expect(gateway.trapped).toBe(false);
          expect(driver.waiting).toBe(0);
        }
        admitted += world.admitted;
      }),
      { numRuns: 30 },
    );
    expect(admitted).toBeGreaterThan(20);
  },
);

it("charges each token once, whatever calls and answers are lost", { timeout: 300_000 }, async () => {
  const short = act.filter((one) => !("forward" in one) || one.forward < 1_000);
  await fc.assert(
    fc.asyncProperty(fc.array(short, { maxLength: 80 }), async (acts) => {
      const world = await World.start({ mode: "strict" });
      for (const step of acts) await world.do(step);
      await world.rest(30);
      expect(world.now).toBeLessThan(Math.floor(world.now / MINUTE) * MINUTE + MINUTE);
      expect(await world.kept.used({ rule: "team", limit: "tokens/minute", "x-team": "a" }, world.now)).toBe(
        world.charged,
      );
    }),
    { numRuns: 100 },
  );
});
