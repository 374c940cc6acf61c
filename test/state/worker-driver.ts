/** test/state/wasm/worker-board.ts on the workers of the test host. Times are ms since 1970. */
import { type LoadOptions, type Plugin, ProxyWasmHost } from "../host/index.ts";

export const begin = Date.UTC(2026, 10, 21, 15, 4, 5, 678);
export const get = "proxy_get_shared_data";
export const set = "proxy_set_shared_data";

export interface Load {
  pool: number;
  endpoint: bigint;
  inflight: number;
  pending: number;
}

export interface Quarantine {
  pool: number;
  endpoint: bigint;
  until: number;
  failures: number;
}

export interface Learned {
  pool: number;
  endpoint: bigint;
  hashes: bigint[];
}

export interface SnapshotLoad {
  endpoint: bigint;
  at: number;
  unknown: boolean;
  /** waiting, running, kv permille, block tokens, blocks, most adapters. */
  numbers: number[];
  active: bigint[];
  waiting: bigint[];
}

/** What sinks were told. */
export interface Told {
  /** Number of `begin` and `end` of the load sink. */
  boards: number;
  loads: Load[];
  quarantines: Quarantine[];
  learned: Learned[];
  snapshots: { at: number; loads: SnapshotLoad[] }[];
}

export interface WorkerReport {
  index: number;
  generation: bigint;
  others: number[];
  alive: number[];
  lost: number;
  unavailable: number;
  dropped: number;
  unreadable: number;
  sent: number;
  droppedHashes: number;
  learned: number;
  lostSegments: number;
  leftOut: number;
  snapshotAt: number;
}

const bits = (mask: bigint) => Array.from({ length: 64 }, (_, bit) => bit).filter((bit) => (mask >> BigInt(bit)) & 1n);

/** The state of one configuration on one worker. */
export class BoardWorker {
  readonly #host: ProxyWasmHost;
  readonly #worker: number;
  readonly #rootId: number;
  readonly #number: number;
  #busy = false;

  /** Makes it anew, as a configuration does. */
  constructor(host: ProxyWasmHost, worker: number, plugin: Plugin, pools: readonly bigint[], scope = 7n) {
    this.#host = host;
    this.#worker = worker;
    this.#rootId = plugin.rootId(worker);
    this.#number = this.call("open", scope);
    for (const pool of pools) this.#on("pool", pool);
    this.hostcalls();
  }

  get #vm() {
    return this.#host.workerVm(this.#worker);
  }

  call(name: string, ...args: (number | bigint)[]): number {
    const vm = this.#vm;
    const context = vm.contexts.get(this.#rootId);
    if (!context) throw new Error("worker driver: no root");
    const result = vm.call(context, name, ...args);
    if (vm.failure) throw vm.failure;
    return result ?? 0;
  }

  #on(name: string, ...args: (number | bigint)[]): number {
    this.call("use", this.#number);
    return this.call(name, ...args);
  }

  #words(at: number, count: number): bigint[] {
    const bytes = this.#vm.memory.copy(at, count * 8);
    if (!bytes) throw new Error("worker driver: outside of the memory");
    return [...new BigUint64Array(bytes.buffer)];
  }

  #input(bytes: Uint8Array): void {
    this.#vm.memory.write(this.call("inputAt"), bytes);
  }

  traffic(now: number): void {
    this.#on("traffic", BigInt(now));
  }

  tick(now: number): boolean {
    return this.#on("tick", BigInt(now)) !== 0;
  }

  look(now: number): boolean {
    return this.#on("look", BigInt(now)) !== 0;
  }

  leave(): void {
    this.#on("leave");
  }

  release(): void {
    this.#on("release");
  }

  /** Says what it has; published by `publish` or `moment`. */
  has(loads: readonly Load[], quarantines: readonly Quarantine[] = []): void {
    this.#on("begin");
    this.#busy = loads.length > 0 || quarantines.length > 0;
    const entries = [...loads, ...quarantines].sort((a, b) => a.pool - b.pool);
    for (const entry of entries) {
      const { pool, endpoint } = entry;
      if ("until" in entry) this.#on("quarantine", pool, endpoint, BigInt(entry.until), entry.failures);
      else this.#on("put", pool, endpoint, entry.inflight, entry.pending);
    }
  }

  /** As it is, in this order. */
  put({ pool, endpoint, inflight, pending }: Load): void {
    this.#on("put", pool, endpoint, inflight, pending);
  }

  publish(now: number): boolean {
    return this.#on("publish", BigInt(now)) !== 0;
  }

  read(now: number): Told {
    this.#on("read", BigInt(now));
    return this.told();
  }

  refresh(now: number): boolean {
    return this.#on("refresh", BigInt(now)) !== 0;
  }

  isElected(pool: number, now: number): boolean {
    return this.#on("isElected", pool, BigInt(now)) !== 0;
  }

  note(pool: number, endpoint: bigint, hashes: readonly bigint[]): void {
    this.#input(new Uint8Array(new BigUint64Array(hashes).buffer));
    this.#on("note", pool, endpoint, hashes.length);
  }

  flush(now: number): void {
    this.#on("flush", BigInt(now));
  }

  gossipEmpty(): boolean {
    return this.#on("gossipEmpty") !== 0;
  }

  /** True when there is more. */
  hear(most = 1000): boolean {
    return this.#on("hear", most) !== 0;
  }

  encode(pool: number, message: Uint8Array, now: number): boolean {
    this.#input(message);
    return this.#on("encode", pool, message.length, BigInt(now)) !== 0;
  }

  readSnapshot(pool: number, now: number): boolean {
    return this.#on("readSnapshot", pool, BigInt(now)) !== 0;
  }

  /** All of a tick: publishes what it `has`, which requests have brought, reads everything. */
  moment(now: number, most = 1000): Told {
    if (this.#busy) this.traffic(now);
    this.#on("moment", BigInt(now), most);
    return this.told();
  }

  told(): Told {
    const words = this.#words(this.call("toldAt"), this.call("toldWords"));
    const told: Told = { boards: 0, loads: [], quarantines: [], learned: [], snapshots: [] };
    let at = 0;
    const next = () => words[at++] as bigint;
    const number = () => Number(BigInt.asIntN(64, next()));
    const take = (count: number) => Array.from({ length: count }, next);
    while (at < words.length) {
      const kind = number();
      if (kind === 1) told.boards++;
      else if (kind === 2) {
        told.loads.push({ pool: number(), endpoint: next(), inflight: number(), pending: number() });
      } else if (kind === 3) {
        told.quarantines.push({ pool: number(), endpoint: next(), until: number(), failures: number() });
      } else if (kind === 5) {
        told.learned.push({ pool: number(), endpoint: next(), hashes: take(number()) });
      } else if (kind === 6) told.snapshots.push({ at: number(), loads: [] });
      else if (kind === 7) {
        const load = { endpoint: next(), at: number(), unknown: next() === 1n, numbers: take(6).map(Number) };
        const [active, waiting] = [number(), number()];
        told.snapshots.at(-1)?.loads.push({ ...load, active: take(active), waiting: take(waiting) });
      } else if (kind !== 4 && kind !== 8) throw new Error(`worker driver: record ${kind}`);
    }
    return told;
  }

  report(): WorkerReport {
    const words = this.#words(this.#on("report"), 14);
    const numbers = words.map((word) => Number(BigInt.asIntN(64, word)));
    const [index = -1, , , , lost = 0, unavailable = 0, dropped = 0, unreadable = 0, sent = 0, droppedHashes = 0] =
      numbers;
    const [learned = 0, lostSegments = 0, leftOut = 0, snapshotAt = 0] = numbers.slice(10);
    return {
      index,
      generation: words[1] as bigint,
      others: bits(words[2] as bigint),
      alive: bits(words[3] as bigint),
      ...{ lost, unavailable, dropped, unreadable, sent, droppedHashes, learned, lostSegments, leftOut, snapshotAt },
    };
  }

  /** Bytes of the scratch arena that the last call left in use. */
  scratchLeft(): number {
    return this.call("scratchLeft");
  }

  /** Names of the hostcalls since the last question. */
  hostcalls(): string[] {
    const context = this.#vm.contexts.get(this.#rootId);
    return (context?.trace.entries.splice(0) ?? []).map(({ name }) => name);
  }
}

export interface Boards {
  host: ProxyWasmHost;
  plugin: Plugin;
  workers: BoardWorker[];
  /** The same state once more on a worker: another configuration, or the one of a VM that was made anew. */
  again(worker: number): BoardWorker;
}

export const somePools: readonly bigint[] = [0xaaaan, 0xbbbbn];

/** One state on each worker. */
export async function startBoards(workers: number, options: LoadOptions & { pools?: readonly bigint[] } = {}) {
  const { pools = somePools, ...rest } = options;
  const host = await ProxyWasmHost.load("build/test-wasm/worker-board.wasm", { workers, ...rest });
  const plugin = host.plugin({ failurePolicy: "FAIL_RELOAD" });
  const again = (worker: number) => new BoardWorker(host, worker, plugin, pools);
  const boards: Boards = { host, plugin, workers: Array.from({ length: workers }, (_, i) => again(i)), again };
  return boards;
}
