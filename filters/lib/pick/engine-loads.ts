/**
 * What engines say about themselves, as far as it is fresh. A snapshot that is too old is unknown: never zero, never the last value.
 *
 * Adapters of an engine are lists of hashes, at most ADAPTERS loaded and as many waited for.
 */
import { MAX_ENDPOINTS } from "./endpoint-mask";

const ADAPTERS: i32 = 64;

/** How well an engine suits an adapter, best last. */
export const enum AdapterFit {
  /** Nothing is known, or there is no room. */
  None,
  /** Requests wait for it there already. */
  Waiting,
  /** It can be loaded at once. */
  Room,
  /** It is loaded. */
  Active,
}

@final
export class EngineLoads {
  private readonly known: StaticArray<bool> = new StaticArray<bool>(MAX_ENDPOINTS);
  private readonly at: StaticArray<i64> = new StaticArray<i64>(MAX_ENDPOINTS);
  private readonly waitingOf: StaticArray<i32> = new StaticArray<i32>(MAX_ENDPOINTS);
  private readonly runningOf: StaticArray<i32> = new StaticArray<i32>(MAX_ENDPOINTS);
  private readonly kvOf: StaticArray<i32> = new StaticArray<i32>(MAX_ENDPOINTS);
  private readonly room: StaticArray<i32> = new StaticArray<i32>(MAX_ENDPOINTS);
  private readonly active: StaticArray<u8> = new StaticArray<u8>(MAX_ENDPOINTS);
  private readonly queued: StaticArray<u8> = new StaticArray<u8>(MAX_ENDPOINTS);
  /** 2 * ADAPTERS for each slot: active ones, then those waited for. */
  private readonly adapters: StaticArray<u64>;

  constructor(
    capacity: i32,
    private readonly maxAgeMs: i64,
  ) {
    this.adapters = new StaticArray<u64>(capacity * 2 * ADAPTERS);
  }

  /** `at`: ms when the engine was asked. `kvPermille`: share of its cache that requests hold. `maxAdapters` 0: it has none. */
  set(slot: i32, at: i64, waiting: i32, running: i32, kvPermille: i32, maxAdapters: i32): void {
    this.note(slot, at, waiting, running, kvPermille);
    this.room[slot] = maxAdapters;
    this.active[slot] = 0;
    this.queued[slot] = 0;
  }

  /** As `set`, but for the adapters: those that were fresh stay known. */
  update(slot: i32, at: i64, waiting: i32, running: i32, kvPermille: i32): void {
    if (this.fresh(slot, at)) this.note(slot, at, waiting, running, kvPermille);
    else this.set(slot, at, waiting, running, kvPermille, 0);
  }

  private note(slot: i32, at: i64, waiting: i32, running: i32, kvPermille: i32): void {
    this.known[slot] = true;
    this.at[slot] = at;
    this.waitingOf[slot] = waiting;
    this.runningOf[slot] = running;
    this.kvOf[slot] = kvPermille;
  }

  /** After `set`: an adapter that is loaded, or else waited for. Those beyond the bound are not noted. */
  addAdapter(slot: i32, hash: u64, active: bool): void {
    const counts = active ? this.active : this.queued;
    const count = <i32>counts[slot];
    if (count == ADAPTERS) return;
    this.adapters[slot * 2 * ADAPTERS + (active ? 0 : ADAPTERS) + count] = hash;
    counts[slot] = <u8>(count + 1);
  }

  forget(slot: i32): void {
    this.known[slot] = false;
  }

  fresh(slot: i32, now: i64): bool {
    return unchecked(this.known[slot]) && now - unchecked(this.at[slot]) <= this.maxAgeMs;
  }

  waiting(slot: i32): i32 {
    return this.waitingOf[slot];
  }

  running(slot: i32): i32 {
    return this.runningOf[slot];
  }

  kvPermille(slot: i32): i32 {
    return this.kvOf[slot];
  }

  /** The engine has loaded the adapter, or requests wait for it there. */
  names(slot: i32, adapter: u64, now: i64): bool {
    return this.fresh(slot, now) && (this.lists(slot, adapter, true) || this.lists(slot, adapter, false));
  }

  fit(slot: i32, adapter: u64, now: i64): AdapterFit {
    if (!this.fresh(slot, now)) return AdapterFit.None;
    if (this.lists(slot, adapter, true)) return AdapterFit.Active;
    if (<i32>this.active[slot] + <i32>this.queued[slot] < this.room[slot]) return AdapterFit.Room;
    return this.lists(slot, adapter, false) ? AdapterFit.Waiting : AdapterFit.None;
  }

  private lists(slot: i32, adapter: u64, active: bool): bool {
    const first = slot * 2 * ADAPTERS + (active ? 0 : ADAPTERS);
    const count = <i32>(active ? this.active[slot] : this.queued[slot]);
    for (let i = first; i < first + count; i++) if (unchecked(this.adapters[i]) == adapter) return true;
    return false;
  }

  /** Share of what is healthy, 1 and more is saturated: the worse of queue and cache. Unknown is saturated. */
  saturation(slot: i32, now: i64, waiting: f64, kvPermille: f64): f64 {
    if (!this.fresh(slot, now)) return 1;
    return max(<f64>this.waitingOf[slot] / waiting, <f64>this.kvOf[slot] / kvPermille);
  }
}
