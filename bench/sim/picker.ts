/** Our policy: one instance of the wasm core per worker, with what workers tell each other. */
import { readFileSync } from "node:fs";
import { buildModule } from "../module.ts";
import type { EventQueue } from "./event-queue.ts";
import type { PolicyFactory } from "./policy.ts";
import type { Random } from "./random.ts";
import type { Request } from "./request.ts";
import { SharedData } from "./shared-data.ts";

/** Constants of the core that a trial may change; without a value they are what the filter has. */
export const constantNames = [
  "bound",
  "leastInflight",
  "threshold",
  "slackTokens",
  "queueTokens",
  "requestTokens",
  "missPrice",
] as const;

export type AffinityConstants = Readonly<Partial<Record<(typeof constantNames)[number], number>>>;

/** ms between ticks of a worker that has something to tell, and of one that has not: filters/pipeline/llm-root.ts. */
const MOMENT_MS = 15;
const TICK_MS = 450;

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
  allocate(size: number): number;
  room(): number;
  setAffinity(...constants: number[]): void;
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
  turn(now: number, gossips: boolean): number;
  lostNews(): number;
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
    const shared = new SharedData();
    const group = Array.from({ length: workers }, (_, index) => {
      const worker = new Worker({ module, constants, random, size: fleet.size, shared, queue, gossipMs });
      worker.core.open(fleet.size, fleet.timing.kvBlocks);
      for (const slot of fleet.live) worker.join(slot, 0);
      worker.core.build();
      worker.tickAfter((TICK_MS * (index + 1)) / workers);
      return worker;
    });
    const of = ({ worker }: Request): Worker => group[worker] as Worker;
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
        for (const worker of group) worker.check(fleet.live);
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

interface WorkerOptions {
  readonly module: PickerModule;
  readonly constants: AffinityConstants | undefined;
  readonly random: Random;
  /** Slots. */
  readonly size: number;
  readonly shared: SharedData;
  readonly queue: EventQueue;
  readonly gossipMs: number | undefined;
}

class Worker {
  readonly core: Core;
  private readonly own: Loads;
  private readonly random: Random;
  private readonly queue: EventQueue;
  private readonly gossipMs: number;
  private readonly requests = new Map<number, Open>();
  private readonly free: number[] = [];
  private opened = 0;
  /** The next tick comes soon. */
  private hurried = false;
  /** The timer that counts: one that was set again must not fire. */
  private timer = 0;
  private gossipAt = 0;

  constructor({ module, constants, random, size, shared, queue, gossipMs }: WorkerOptions) {
    this.own = new Loads(size);
    this.random = random;
    this.queue = queue;
    this.gossipMs = gossipMs ?? Number.POSITIVE_INFINITY;
    // Of hostcalls the core needs shared data, and to say why it traps.
    const proxyLog = (_level: number, at: number, length: number): never => {
      throw new Error(new TextDecoder().decode(new Uint8Array(this.core.memory.buffer, at, length)));
    };
    const env = { proxy_log: proxyLog, ...shared.hostcalls(() => this.core) };
    const { exports } = new wasm.Instance(module, { env });
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
      given("missPrice"),
    );
  }

  tickAfter(delay: number): void {
    const timer = ++this.timer;
    this.queue.after(delay, () => {
      if (timer === this.timer) this.tick();
    });
  }

  private tick(): void {
    const { now } = this.queue;
    const gossips = now >= this.gossipAt + this.gossipMs;
    if (gossips) this.gossipAt = now;
    this.hurried = this.core.turn(now, gossips) !== 0;
    this.tickAfter(this.hurried ? MOMENT_MS : TICK_MS);
  }

  private hurry(): void {
    if (this.hurried) return;
    this.hurried = true;
    this.tickAfter(MOMENT_MS);
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
    this.hurry();
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

  /** What we have counted and what the core has are the same: neither leaks. A slot that is free keeps what it had until somebody else comes. */
  check(live: readonly number[]): void {
    for (const slot of live) {
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
  }

  private open({ id }: Request): Open {
    const open = this.requests.get(id);
    if (open === undefined) throw new Error(`request ${id} was not sent`);
    return open;
  }
}
