/**
 * The flights that one worker has something to do with, and its requests that make or await them (flight-board.ts).
 *
 * Records lie in raw memory, in blocks that never move and are used again: the collector would walk over each of them at every tick.
 *
 *   buckets -> Flight -> Flight (chain)        Flight.first .. last: the requests that wait, longest first
 *   ticket    |how often the record was used: 16 bits|number of the record: 16 bits|
 */

/** Most requests that make or await a flight; a held request takes Envoy some 20 KB, so these are 1.3 GB. */
export const MAX_WAITERS: i32 = 1 << 16;
/** Most flights of a worker: twice what all workers can share. */
export const MAX_FLIGHTS: i32 = 1 << 13;

const BLOCK: i32 = 64;
const BUCKETS: u64 = 4096;

export const enum FlightKind {
  /** A request of this worker makes the call. */
  Leading = 1,
  /** One of another worker does. */
  Following = 2,
  /** It is over, and the others could not be told yet. */
  Ending = 3,
}

export const enum Place {
  Free = 0,
  Leading = 1,
  Waiting = 2,
  /** What has become of its flight is decided, and it is about to be told. */
  Told = 3,
}

@unmanaged
export class Flight {
  low: u64;
  high: u64;
  /** Of the worker's number under which it stands in shared data, and when that was known to be so (flight-claims.ts). */
  generation: u64;
  epoch: u32;
  /** ms since 1970: when shared data was last asked about it; when it ended. */
  at: i64;
  first: Waiter | null;
  last: Waiter | null;
  leader: Waiter | null;
  previous: Flight | null;
  next: Flight | null;
  chain: Flight | null;
  kind: FlightKind;
  /** Of an ending one. */
  outcome: i32;
  /** Leaders that have failed. */
  failures: i32;
  /** It stands in shared data. */
  shared: bool;
  /** Number of the worker that leads it, where another one does. */
  leadBy: i32;
  /** A follower of this worker wants to read along. */
  ordered: bool;
  /** Of workers whose followers want to; a bit for each number. */
  wanted: u64;
  /** Where the leader's answer can be read along; 0 and 0: nowhere. */
  liveLow: u64;
  liveHigh: u64;
}

/** A request. */
@unmanaged
export class Waiter {
  ticket: u32;
  /** The caller's. */
  id: u32;
  /** ms since 1970, both. */
  since: i64;
  until: i64;
  flight: Flight | null;
  /** Whose list it is in: its flight's, or that of those who are told. */
  list: Flight | null;
  previous: Waiter | null;
  next: Waiter | null;
  place: Place;
  news: i32;
  /** With `FlightNews.Live`. */
  liveLow: u64;
  liveHigh: u64;
}

@final
export class FlightTable {
  /** All flights. */
  first: Flight | null = null;
  flights: i32 = 0;
  /** Flights by kind. */
  leading: i32 = 0;
  following: i32 = 0;
  /** Requests that wait. */
  waiting: i32 = 0;

  private buckets: usize = 0;
  private freeFlights: Flight | null = null;
  private freeWaiters: Waiter | null = null;
  private readonly waiterBlocks: StaticArray<usize> = new StaticArray<usize>(MAX_WAITERS / BLOCK);
  private waiterCount: i32 = 0;
  private readonly flightBlocks: StaticArray<usize> = new StaticArray<usize>(MAX_FLIGHTS / BLOCK);
  private flightCount: i32 = 0;

  find(low: u64, high: u64): Flight | null {
    if (this.buckets == 0) return null;
    let flight = load<Flight | null>(this.bucket(low));
    while (flight !== null && (flight.low != low || flight.high != high)) flight = flight.chain;
    return flight;
  }

  /** A new one without requests; null when there are too many. The key is not there yet. */
  add(low: u64, high: u64, kind: FlightKind): Flight | null {
    if (this.buckets == 0) {
      this.buckets = heap.alloc(<usize>BUCKETS * sizeof<usize>());
      memory.fill(this.buckets, 0, <usize>BUCKETS * sizeof<usize>());
    }
    if (this.freeFlights === null) this.moreFlights();
    const flight = this.freeFlights;
    if (flight === null) return null;
    this.freeFlights = flight.next;
    memory.fill(changetype<usize>(flight), 0, offsetof<Flight>());
    flight.low = low;
    flight.high = high;
    const bucket = this.bucket(low);
    flight.chain = load<Flight | null>(bucket);
    store<Flight | null>(bucket, flight);
    const next = this.first;
    flight.next = next;
    if (next !== null) next.previous = flight;
    this.first = flight;
    this.flights++;
    this.become(flight, kind);
    return flight;
  }

  become(flight: Flight, kind: FlightKind): void {
    this.count(flight.kind, -1);
    flight.kind = kind;
    this.count(kind, 1);
  }

  /** The flight is forgotten; no request may be in its list. */
  drop(flight: Flight): void {
    const bucket = this.bucket(flight.low);
    let one = load<Flight | null>(bucket);
    if (one === flight) store<Flight | null>(bucket, flight.chain);
    else {
      while (one !== null && one.chain !== flight) one = one.chain;
      if (one !== null) one.chain = flight.chain;
    }
    const previous = flight.previous;
    const next = flight.next;
    if (previous === null) this.first = next;
    else previous.next = next;
    if (next !== null) next.previous = previous;
    this.count(flight.kind, -1);
    this.flights--;
    flight.next = this.freeFlights;
    this.freeFlights = flight;
  }

  /** A new request with a ticket that none had lately; null when there are too many. */
  open(id: u32, since: i64, until: i64): Waiter | null {
    if (this.freeWaiters === null) this.moreWaiters();
    const waiter = this.freeWaiters;
    if (waiter === null) return null;
    this.freeWaiters = waiter.next;
    let ticket = waiter.ticket + 0x10000;
    if (ticket < 0x10000) ticket += 0x10000;
    waiter.ticket = ticket;
    waiter.id = id;
    waiter.since = since;
    waiter.until = until;
    waiter.flight = null;
    waiter.list = null;
    waiter.next = null;
    waiter.place = Place.Leading;
    return waiter;
  }

  /** The request with the ticket; null when it is over. */
  of(ticket: u32): Waiter | null {
    const number = <i32>(ticket & 0xffff);
    if (number >= this.waiterCount) return null;
    const waiter = this.waiter(number);
    return waiter.ticket == ticket && waiter.place != Place.Free ? waiter : null;
  }

  /** The request is forgotten. */
  close(waiter: Waiter): void {
    this.detach(waiter);
    waiter.place = Place.Free;
    waiter.next = this.freeWaiters;
    this.freeWaiters = waiter;
  }

  /** Puts a request that is in no list at the end of this one. */
  append(list: Flight, waiter: Waiter, place: Place): void {
    const last = list.last;
    waiter.list = list;
    waiter.previous = last;
    waiter.next = null;
    if (last === null) list.first = waiter;
    else last.next = waiter;
    list.last = waiter;
    waiter.place = place;
    if (place == Place.Waiting) this.waiting++;
  }

  /** Takes a request out of its list, if it is in one. */
  detach(waiter: Waiter): void {
    const list = waiter.list;
    if (list === null) return;
    const previous = waiter.previous;
    const next = waiter.next;
    if (previous === null) list.first = next;
    else previous.next = next;
    if (next === null) list.last = previous;
    else next.previous = previous;
    waiter.list = null;
    if (waiter.place == Place.Waiting) this.waiting--;
  }

  /** Gives all memory back; every ticket is over. */
  release(): void {
    for (let i = 0; i < this.waiterCount; i += BLOCK) heap.free(unchecked(this.waiterBlocks[i / BLOCK]));
    for (let i = 0; i < this.flightCount; i += BLOCK) heap.free(unchecked(this.flightBlocks[i / BLOCK]));
    if (this.buckets != 0) heap.free(this.buckets);
    this.buckets = 0;
    this.waiterCount = 0;
    this.flightCount = 0;
    this.freeWaiters = null;
    this.freeFlights = null;
    this.first = null;
    this.flights = 0;
    this.leading = 0;
    this.following = 0;
    this.waiting = 0;
  }

  private count(kind: FlightKind, by: i32): void {
    if (kind == FlightKind.Leading) this.leading += by;
    else if (kind == FlightKind.Following) this.following += by;
  }

  /** Keys are hashes already. */
  @inline
  private bucket(low: u64): usize {
    return this.buckets + <usize>((low & (BUCKETS - 1)) * sizeof<usize>());
  }

  @inline
  private waiter(number: i32): Waiter {
    return changetype<Waiter>(unchecked(this.waiterBlocks[number / BLOCK]) + <usize>(number % BLOCK) * offsetof<Waiter>());
  }

  private moreWaiters(): void {
    if (this.waiterCount == MAX_WAITERS) return;
    const bytes = <usize>BLOCK * offsetof<Waiter>();
    const block = heap.alloc(bytes);
    memory.fill(block, 0, bytes);
    const from = this.waiterCount;
    unchecked((this.waiterBlocks[from / BLOCK] = block));
    this.waiterCount += BLOCK;
    for (let number = from + BLOCK - 1; number >= from; number--) {
      const waiter = this.waiter(number);
      waiter.ticket = number;
      waiter.next = this.freeWaiters;
      this.freeWaiters = waiter;
    }
  }

  private moreFlights(): void {
    if (this.flightCount == MAX_FLIGHTS) return;
    const block = heap.alloc(<usize>BLOCK * offsetof<Flight>());
    unchecked((this.flightBlocks[this.flightCount / BLOCK] = block));
    this.flightCount += BLOCK;
    for (let i = 0; i < BLOCK; i++) {
      const flight = changetype<Flight>(block + <usize>i * offsetof<Flight>());
      flight.next = this.freeFlights;
      this.freeFlights = flight;
    }
  }
}
