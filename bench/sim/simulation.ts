/** One run: a scenario, a policy, a seed. Virtual time, one event queue, no other randomness than the seed's. */
import { startTraffic } from "./arrivals.ts";
import { EventQueue } from "./event-queue.ts";
import { type EngineKind, Fleet } from "./fleet.ts";
import { type Measures, measure, type Outcome } from "./measures.ts";
import type { Engine } from "./paged-replica.ts";
import type { Policy, PolicyFactory } from "./policy.ts";
import { Random } from "./random.ts";
import type { Request } from "./request.ts";
import { type Scenario, timingOf } from "./scenario.ts";

export interface RunOptions {
  readonly scenario: Scenario;
  readonly policy: PolicyFactory;
  readonly seed: number;
  readonly workers?: number;
  readonly gossipMs?: number;
  readonly engine?: EngineKind;
}

/** Between samples of the load, ms. */
const SAMPLE_MS = 1_000;

interface Sent {
  readonly request: Request;
  readonly outcome: Outcome;
  readonly onDone: (() => void) | undefined;
}

/** An engine at work. It outlives its place in the fleet: who leaves still answers what it has. */
interface Node {
  readonly slot: number;
  readonly engine: Engine;
  readonly sent: Map<number, Sent>;
  busy: boolean;
}

export function simulate(options: RunOptions): Measures {
  const { scenario, seed } = options;
  const queue = new EventQueue();
  const fleet = new Fleet(scenario.replicas, timingOf(scenario), options.engine);
  const policy = options.policy({
    fleet,
    queue,
    random: new Random(seed, "policy"),
    workers: options.workers ?? 1,
    gossipMs: options.gossipMs,
  });
  const outcomes: Outcome[] = [];
  const samples: { at: number; imbalance: number }[] = [];
  const nodes = fleet.live.map((slot) => newNode(slot, fleet));
  const run = { queue, fleet, policy, nodes };

  for (const { at, slot, what } of scenario.changes ?? []) {
    queue.at(at, () => {
      if (what === "leave") {
        fleet.leave(slot);
        policy.left?.(slot);
      } else {
        fleet.join(slot);
        nodes[slot] = newNode(slot, fleet);
        policy.joined?.(slot);
      }
    });
  }
  if (scenario.scrapeMs !== undefined) fleet.scrapeEvery(scenario.scrapeMs, queue);
  queue.every(SAMPLE_MS, SAMPLE_MS, () => {
    const loads = fleet.live.map((slot) => fleet.inflight[slot] ?? 0);
    const sum = loads.reduce((a, b) => a + b, 0);
    if (sum > 0) samples.push({ at: queue.now, imbalance: (Math.max(...loads) * loads.length) / sum });
  });
  startTraffic(scenario.traffic, {
    queue,
    seed,
    workers: options.workers ?? 1,
    send: (request, onDone) => {
      const slot = policy.pick(request);
      if (!fleet.live.includes(slot)) throw new Error(`slot ${slot} was picked, which is not in the fleet`);
      const { id, arrivedAt, promptTokens, outputTokens } = request;
      const outcome: Outcome = { id, arrivedAt, promptTokens, outputTokens, slot, cachedTokens: 0 };
      outcomes.push(outcome);
      deliver(run, { request, outcome, onDone });
    },
  });
  queue.runUntil(scenario.endMs);
  policy.close?.();
  return measure({ outcomes, samples, scenario });
}

type Run = { queue: EventQueue; fleet: Fleet; policy: Policy; nodes: Node[] };

const newNode = (slot: number, fleet: Fleet): Node => ({
  slot,
  engine: fleet.engine(slot),
  sent: new Map(),
  busy: false,
});

function deliver(run: Run, sent: Sent): void {
  const { request, outcome } = sent;
  const node = run.nodes[outcome.slot] as Node;
  run.fleet.count(node.slot, 1);
  run.policy.sent?.(request, node.slot);
  node.sent.set(request.id, sent);
  node.engine.submit(request);
  if (!node.busy) iterate(run, node);
}

function iterate(run: Run, node: Node): void {
  const iteration = node.engine.begin();
  node.busy = iteration !== undefined;
  if (iteration === undefined) return;
  run.queue.after(iteration.durationMs, () => {
    for (const event of node.engine.complete()) {
      const sent = node.sent.get(event.id) as Sent;
      const { request, outcome } = sent;
      if (event.index === 0) {
        outcome.firstAt = run.queue.now;
        outcome.cachedTokens = event.cachedTokens;
        run.policy.firstToken?.(request, node.slot);
      }
      if (!event.last) continue;
      outcome.lastAt = run.queue.now;
      node.sent.delete(event.id);
      // The counts of a place that has been given to another engine are that one's.
      if (run.nodes[node.slot] === node) run.fleet.count(node.slot, -1);
      run.policy.done?.(request, node.slot, run.queue.now - request.arrivedAt);
      sent.onDone?.();
    }
    iterate(run, node);
  });
}
