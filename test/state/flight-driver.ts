/** test/state/wasm/flight-board.ts on the workers of the test host. Times are ms since 1970. */
import { type LoadOptions, type Plugin, ProxyWasmHost, Status } from "../host/index.ts";

export const begin = Date.UTC(2026, 10, 22, 1, 2, 3, 456);
export const get = "proxy_get_shared_data";
export const set = "proxy_set_shared_data";
export const register = "proxy_register_shared_queue";
export const resolve = "proxy_resolve_shared_queue";
export const enqueue = "proxy_enqueue_shared_queue";
export const dequeue = "proxy_dequeue_shared_queue";

/** As the enumerations of filters/state/flight-board.ts. */
export const roles = ["alone", "leader", "local", "remote", "look", "live"] as const;
export type Role = (typeof roles)[number];
export const outcomes = ["stored", "failed", "abandoned", "private"] as const;
export type Outcome = (typeof outcomes)[number];
export const newsOf = ["look", "lead", "alone", "live", "wanted"] as const;
export type News = (typeof newsOf)[number];
const reactions = ["none", "rejoin", "leave"] as const;

export type Key = readonly [low: bigint, high: bigint];

export interface Told {
  board: number;
  id: number;
  ticket: number;
  news: News;
  /** What a reaction to it has joined as. */
  role?: Role;
  /** The ticket of that; of `live`, where to read along. */
  joined: number;
}

export interface FlightReport {
  leaders: number;
  locals: number;
  remotes: number;
  alone: number;
  timeouts: number;
  handovers: number;
  takeovers: number;
  unshared: number;
  lost: number;
  unsent: number;
  waiting: number;
  running: number;
}

/** The flights of one configuration on one worker. */
export class FlightWorker {
  readonly worker: number;
  readonly number: number;
  readonly #host: ProxyWasmHost;
  readonly #rootId: number;

  constructor(host: ProxyWasmHost, worker: number, plugin: Plugin, scope = 7n) {
    this.#host = host;
    this.worker = worker;
    this.#rootId = plugin.rootId(worker);
    this.number = this.#call("open", scope);
    this.clock(begin);
    this.hostcalls();
  }

  get vm() {
    return this.#host.workerVm(this.worker);
  }

  #call(name: string, ...args: (number | bigint)[]): number {
    const { vm } = this;
    const context = vm.contexts.get(this.#rootId);
    if (!context) throw new Error("flight driver: no root");
    const result = vm.call(context, name, ...args);
    if (vm.failure) throw vm.failure;
    return result ?? 0;
  }

  #words(at: number, count: number): bigint[] {
    const bytes = this.vm.memory.copy(at, count * 8);
    if (!bytes) throw new Error("flight driver: outside of the memory");
    return [...new BigInt64Array(bytes.buffer)];
  }

  /** The role, and the ticket of one that has any. */
  join(
    [low, high]: Key,
    id: number,
    now: number,
    { wait = 60_000, again = false } = {},
  ): { role: Role; ticket: number } {
    const until = BigInt(now + wait);
    const role = this.#call("join", this.number, low, high, id, until, BigInt(now), again ? 1 : 0);
    return { role: roles[role] as Role, ticket: this.#call("ticketOf", this.number) };
  }

  /** Wants to read along. */
  order(ticket: number): void {
    this.#call("order", this.number, ticket);
  }

  isWanted(ticket: number): boolean {
    return this.#call("isWanted", this.number, ticket) !== 0;
  }

  /** @param place not 0 */
  open(ticket: number, place: number): void {
    this.#call("openLive", this.number, ticket, BigInt(place), 0n);
  }

  shut(ticket: number): void {
    this.#call("shut", this.number, ticket);
  }

  /** Where to read along, of the last join. */
  place(): number {
    return this.#call("placeOf", this.number);
  }

  finish(ticket: number, outcome: Outcome, now: number): void {
    this.#call("finish", this.number, ticket, outcomes.indexOf(outcome), BigInt(now));
  }

  leave(ticket: number, now: number): void {
    this.#call("leave", this.number, ticket, BigInt(now));
  }

  tick(now: number): void {
    this.#call("tick", this.number, BigInt(now));
  }

  expire(now: number): void {
    this.#call("expire", this.number, BigInt(now));
  }

  release(now: number): void {
    this.#call("release", this.number, BigInt(now));
  }

  /** Its VM has trapped: nothing reaches it any more. */
  kill(): void {
    this.#call("kill", this.number);
  }

  /** What the sink of this VM does when it is told something. */
  react(what: (typeof reactions)[number], key: Key = [0n, 0n], now = 0, ticket = 0): void {
    this.#call("react", reactions.indexOf(what), ...key, BigInt(now + 60_000), BigInt(now), ticket);
  }

  /** Time of the letters that come from now on. */
  clock(now: number): void {
    this.#call("setClock", BigInt(now));
  }

  /** What all sinks of this VM were told since the last question. */
  told(): Told[] {
    const words = this.#words(this.#call("toldAt"), this.#call("toldWords"));
    return Array.from({ length: words.length / 6 }, (_, record) => {
      const [board = 0, id = 0, ticket = 0, news = 0, role = -1, joined = 0] = words
        .slice(record * 6, record * 6 + 6)
        .map(Number);
      const reacted = roles[role];
      return { board, id, ticket, news: newsOf[news] as News, ...(reacted ? { role: reacted } : {}), joined };
    });
  }

  /** `id news` of each. */
  news(): string[] {
    return this.told().map(({ id, news }) => `${id} ${news}`);
  }

  report(): FlightReport {
    const words = this.#words(this.#call("report", this.number), 12).map(Number);
    const [leaders = 0, locals = 0, remotes = 0, alone = 0, timeouts = 0, handovers = 0] = words;
    const [takeovers = 0, unshared = 0, lost = 0, unsent = 0, waiting = 0, running = 0] = words.slice(6);
    return {
      ...{ leaders, locals, remotes, alone, timeouts, handovers },
      ...{ takeovers, unshared, lost, unsent, waiting, running },
    };
  }

  nextDeadline(): number {
    return Number(this.#words(this.#call("report", this.number) + 96, 1)[0]);
  }

  /** Bytes of the scratch arena that the last call left in use. */
  scratchLeft(): number {
    return this.#call("scratchLeft");
  }

  /** Names of the hostcalls since the last question. */
  hostcalls(): string[] {
    const context = this.vm.contexts.get(this.#rootId);
    return (context?.trace.entries.splice(0) ?? []).map(({ name }) => name);
  }
}

export async function startFlights(workers: number, options: LoadOptions = {}) {
  const host = await ProxyWasmHost.load("build/test-wasm/flight-board.wasm", { workers, ...options });
  const plugin = host.plugin({ failurePolicy: "FAIL_RELOAD" });
  const again = (worker: number, scope?: bigint) => new FlightWorker(host, worker, plugin, scope);
  return { host, plugin, workers: Array.from({ length: workers }, (_, worker) => again(worker)), again };
}

export const aKey: Key = [0x1111_2222_3333_4444n, 0x5555_6666_7777_8888n];
/** The set of that key, in the scope of `startFlights`. */
export const setKey = "tm.pf.1.0000000000000007.44";
export const keyOf = (n: number, low = BigInt(n)): Key => [low, 0xabcd_0000n + BigInt(n)];

/** `startFlights` for tests that name their workers. */
export async function startSome(count: number) {
  const flights = await startFlights(count);
  return { ...flights, workers: flights.workers as [FlightWorker, FlightWorker, FlightWorker, FlightWorker] };
}

/** All have a number, and know of the others. */
export function meet(workers: readonly FlightWorker[], now: number): void {
  for (const worker of workers) {
    const { ticket } = worker.join(keyOf(90_000 + worker.worker), 0, now);
    worker.finish(ticket, "private", now);
  }
  for (const worker of workers) worker.tick(now);
  for (const worker of workers) worker.hostcalls();
}

/** The hostcall fails from now on. */
export const refuse = (host: ProxyWasmHost, call: string) =>
  host.faults.inject({ call, status: Status.InternalFailure, times: Number.POSITIVE_INFINITY });
