/** Our policy: one instance of the wasm core per worker, with what workers tell each other. */
import { readFileSync } from "node:fs";
import { buildModule } from "../module.ts";
import type { PolicyFactory } from "./policy.ts";
import type { Random } from "./random.ts";
import type { Request } from "./request.ts";

/** Constants of the core that a trial may change; without a value they are what the filter has. */
export const constantNames = [
  "bound",
  "leastInflight",
  "threshold",
  "slackTokens",
  "queueTokens",
  "requestTokens",
] as const;

export type AffinityConstants = Readonly<Partial<Record<(typeof constantNames)[number], number>>>;

/** ms between a worker's looks at the loads of the others: what it knows of them is up to this old. */
const LOADS_MS = 10;

/** The part of the engine's API that is used here; Node's types do not have it. */
interface WasmApi {
  readonly Module: new (bytes: Uint8Array) => PickerModule;
  readonly Instance: new (
    module: PickerModule,
    imports: object,
  ) => { readonly exports: Core & { _initialize(): void } };
}

const { WebAssembly: wasm } = globalThis as unknown as { readonly WebAssembly: WasmApi };

/** Compiled code of the picker. */
export interface PickerModule {
  readonly picker?: never;
}

/** What bench/sim/wasm/picker.ts exports. */
interface Core {
  readonly memory: { readonly buffer: ArrayBuffer };
  hashesAt(): number;
  slotsAt(): number;
  room(): number;
  setAffinity(bound: number, least: number, threshold: number, slack: number, queue: number, perRequest: number): void;
  open(capacity: number, blocksPerEndpoint: number): void;
  add(endpoint: number, now: number): number;
  build(): void;
  remove(slot: number): void;
  pick(blocks: number, tokens: number, now: number, high: number, low: number): number;
  sent(ticket: number): number;
  firstByte(ticket: number, now: number): void;
  done(ticket: number, now: number): void;
  ownInflight(slot: number): number;
  ownPending(slot: number): number;
  setOthers(slot: number, inflight: number, pending: number): void;
  takeNews(): number;
  learn(count: number): void;
}

/** Compiles filters/lib/pick as the filters that ship are compiled. Takes seconds. */
export function buildPicker(root: string): PickerModule {
  const path = buildModule(root, { name: "sim-picker", entry: "bench/sim/wasm/picker.ts" });
  return new wasm.Module(readFileSync(path));
}

/** `constants` other than the default make a trial; the core's own defaults are the product's. */
export const prefixAffinity =
  (module: PickerModule, constants?: AffinityConstants): PolicyFactory =>
  ({ fleet, queue, random, workers, gossipMs }) => {
    const all = new Loads(fleet.size);
    const group = Array.from({ length: workers }, () => {
      const worker = new Worker(module, constants, random, all);
      worker.core.open(fleet.size, fleet.timing.kvBlocks);
      for (const slot of fleet.live) worker.join(slot, 0);
      worker.core.build();
      return worker;
    });
    const of = ({ worker }: Request): Worker => group[worker] as Worker;
    if (workers > 1) {
      for (const [index, worker] of group.entries()) {
        const phase = (index + 1) / workers;
        queue.every(LOADS_MS, phase * LOADS_MS, () => worker.hearLoads(fleet.live));
        if (gossipMs === undefined) continue;
        const others = group.filter((other) => other !== worker);
        queue.every(gossipMs, phase * gossipMs, () => worker.tell(others));
      }
    }
    return {
      pick: (request) => of(request).pick(request, queue.now),
      sent: (request, slot) => of(request).sent(request, slot),
      firstToken: (request) => of(request).firstToken(request, queue.now),
      done: (request) => of(request).done(request, queue.now),
      joined: (slot) => {
        for (const worker of group) worker.join(slot, queue.now);
      },
      left: (slot) => {
        for (const worker of group) worker.leave(slot);
      },
      close: () => {
        for (const worker of group) worker.check();
      },
    };
  };

/** Requests in flight and tokens pending by slot. */
class Loads {
  readonly inflight: Int32Array;
  readonly pending: Float64Array;

  constructor(readonly size: number) {
    this.inflight = new Int32Array(size);
    this.pending = new Float64Array(size);
  }

  add(slot: number, inflight: number, pending: number): void {
    this.inflight[slot] = (this.inflight[slot] ?? 0) + inflight;
    this.pending[slot] = (this.pending[slot] ?? 0) + pending;
  }
}

interface Open {
  readonly ticket: number;
  readonly slot: number;
  /** The endpoint is gone; another one in its slot has nothing to do with this request. */
  stranded: boolean;
  pending: number;
}

class Worker {
  readonly core: Core;
  private readonly own: Loads;
  private readonly requests = new Map<number, Open>();
  private readonly free: number[] = [];
  private opened = 0;

  constructor(
    module: PickerModule,
    constants: AffinityConstants | undefined,
    private readonly random: Random,
    private readonly all: Loads,
  ) {
    this.own = new Loads(all.size);
    // The core says nothing but why it traps.
    const proxyLog = (_level: number, at: number, size: number): never => {
      throw new Error(new TextDecoder().decode(new Uint8Array(this.core.memory.buffer, at, size)));
    };
    const { exports } = new wasm.Instance(module, { env: { proxy_log: proxyLog } });
    this.core = exports;
    exports._initialize();
    const given = (name: (typeof constantNames)[number]): number => constants?.[name] ?? Number.NaN;
    this.core.setAffinity(
      given("bound"),
      given("leastInflight"),
      given("threshold"),
      given("slackTokens"),
      given("queueTokens"),
      given("requestTokens"),
    );
  }

  join(slot: number, now: number): void {
    const given = this.core.add(slot, now);
    if (given !== slot) throw new Error(`endpoint ${slot} got slot ${given}`);
  }

  leave(slot: number): void {
    this.core.remove(slot);
    for (const open of this.requests.values()) {
      if (open.slot !== slot || open.stranded) continue;
      this.count(open, -1, -open.pending);
      open.stranded = true;
    }
  }

  pick(request: Request, now: number): number {
    const { core } = this;
    const blocks = Math.min(request.promptBlocks, core.room());
    const hashes = new Float64Array(core.memory.buffer, core.hashesAt(), blocks);
    for (let i = 0; i < blocks; i++) hashes[i] = request.blocks[i] as number;
    return core.pick(blocks, request.promptTokens, now, this.random.bits(), this.random.bits());
  }

  sent(request: Request, slot: number): void {
    const ticket = this.free.pop() ?? this.opened++;
    const open: Open = { ticket, slot, stranded: false, pending: this.core.sent(ticket) };
    this.requests.set(request.id, open);
    this.count(open, 1, open.pending);
  }

  firstToken(request: Request, now: number): void {
    const open = this.open(request);
    this.core.firstByte(open.ticket, now);
    this.count(open, 0, -open.pending);
    open.pending = 0;
  }

  done(request: Request, now: number): void {
    const open = this.open(request);
    this.core.done(open.ticket, now);
    this.count(open, -1, -open.pending);
    this.requests.delete(request.id);
    this.free.push(open.ticket);
  }

  hearLoads(live: readonly number[]): void {
    const { own, all } = this;
    for (const slot of live) {
      const inflight = (all.inflight[slot] ?? 0) - (own.inflight[slot] ?? 0);
      this.core.setOthers(slot, inflight, (all.pending[slot] ?? 0) - (own.pending[slot] ?? 0));
    }
  }

  tell(others: readonly Worker[]): void {
    const { core } = this;
    for (let count = core.takeNews(); count > 0; count = core.takeNews()) {
      for (const { core: other } of others) {
        copy(core, core.hashesAt(), other, other.hashesAt(), count * 8);
        copy(core, core.slotsAt(), other, other.slotsAt(), count * 4);
        other.learn(count);
      }
    }
  }

  /** What we have counted and what the core has are the same: neither leaks. */
  check(): void {
    for (let slot = 0; slot < this.own.size; slot++) {
      const [inflight, pending] = [this.core.ownInflight(slot), this.core.ownPending(slot)];
      if (inflight !== this.own.inflight[slot] || pending !== this.own.pending[slot])
        throw new Error(
          `slot ${slot}: the picker counts ${inflight} requests and ${pending} tokens, not what was sent`,
        );
    }
  }

  private count({ slot, stranded }: Open, inflight: number, pending: number): void {
    if (stranded) return;
    this.own.add(slot, inflight, pending);
    this.all.add(slot, inflight, pending);
  }

  private open({ id }: Request): Open {
    const open = this.requests.get(id);
    if (open === undefined) throw new Error(`request ${id} was not sent`);
    return open;
  }
}

function copy(from: Core, source: number, to: Core, target: number, bytes: number): void {
  new Uint8Array(to.memory.buffer, target, bytes).set(new Uint8Array(from.memory.buffer, source, bytes));
}
