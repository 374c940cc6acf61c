/**
 * Answers on their way, read by others than who asked for them: the leader of a flight (filters/prompt-cache) sends what it gets of the upstream, and each follower is
 * given all of it from the first byte on, then what comes, as it comes.
 *
 *   leader -> append ... end | abandon        follower -> read: bytes from the first on ... end | cut
 *
 * A follower that takes its bytes slowly holds nobody up: it reads at its own place. A flight keeps its bytes up to a bound; beyond, it keeps the newest and takes no more
 * followers, and one that is so far behind that its next bytes are gone is cut off, which a client sees as an answer that broke off. No clock and no sockets in here.
 */
import { FLIGHT_WINDOW_BYTES, MAX_ALL_FLIGHT_BYTES, MAX_FLIGHT_BYTES, MAX_FLIGHTS, MAX_FOLLOWERS } from "./limits.ts";

/** What followers are told before the first byte. */
export interface FlightHead {
  readonly contentType: string;
  /** 32 hex digits; undefined where clients are not shown it. */
  readonly key: string | undefined;
  /** ms since the epoch, when the upstream was asked. */
  readonly askedAt: number;
  /** What `x-llm-cache` says; `coalesced` by default. */
  readonly cache?: "hit";
}

/** Where the bytes of a follower go. */
export interface FollowerSink {
  /** False when it takes no more until {@link Follower.resume}. */
  write(bytes: Buffer): boolean;
  /** The answer is complete. */
  end(): void;
  /** It will never be. */
  cut(): void;
}

export interface Follower {
  /** The sink takes bytes again. */
  resume(): void;
  /** The follower has gone. Harmless a second time, and behind the end. */
  leave(): void;
}

/** Bytes and followers of all flights. */
interface Load {
  bytes: number;
  followers: number;
}

interface Reading {
  readonly sink: FollowerSink;
  /** Number of the chunk that it gets next. */
  next: number;
  full: boolean;
}

export class Flight {
  readonly head: FlightHead;
  readonly #load: Load;
  readonly #readings = new Set<Reading>();
  #chunks: Buffer[] = [];
  /** Chunks that are kept no more, and bytes of those that are. */
  #dropped = 0;
  #bytes = 0;
  #state: "running" | "ended" | "broken" = "running";
  #forgotten = false;

  constructor(head: FlightHead, load: Load) {
    this.head = head;
    this.#load = load;
  }

  get followers(): number {
    return this.#readings.size;
  }

  /** More of the answer; copied. */
  append(bytes: Uint8Array): void {
    if (this.#state !== "running" || bytes.length === 0) return;
    this.#chunks.push(Buffer.from(bytes));
    this.#count(bytes.length);
    for (const reading of this.#readings) this.#pump(reading);
    this.#trim();
    this.#releaseUnread();
  }

  /** The answer is complete. */
  end(): void {
    this.#finish("ended");
  }

  /** There will be no more of it, and it is not complete. */
  abandon(): void {
    this.#finish("broken");
  }

  /** Undefined when its beginning is gone, when it broke off, or when there are too many. The sink may be told of bytes and end before this returns. */
  read(sink: FollowerSink): Follower | undefined {
    if (this.#dropped > 0 || this.#state === "broken" || this.#load.followers >= MAX_FOLLOWERS) return undefined;
    const reading: Reading = { sink, next: 0, full: false };
    this.#readings.add(reading);
    this.#load.followers++;
    this.#pump(reading);
    return {
      resume: () => {
        reading.full = false;
        this.#pump(reading);
      },
      leave: () => this.#leave(reading),
    };
  }

  /** Nobody new comes: what is kept goes with the last follower. */
  forget(): void {
    this.#forgotten = true;
    this.#releaseUnread();
  }

  #finish(state: "ended" | "broken"): void {
    if (this.#state !== "running") return;
    this.#state = state;
    for (const reading of this.#readings) this.#pump(reading);
  }

  /** Gives a follower what it can take. */
  #pump(reading: Reading): void {
    if (!this.#readings.has(reading)) return;
    if (this.#state === "broken") {
      this.#leave(reading);
      reading.sink.cut();
      return;
    }
    while (!reading.full) {
      const chunk = this.#chunks[reading.next - this.#dropped];
      if (chunk === undefined) break;
      reading.next++;
      reading.full = !reading.sink.write(chunk);
      // The sink may have gone meanwhile.
      if (!this.#readings.has(reading)) return;
    }
    if (this.#state !== "ended" || reading.next < this.#dropped + this.#chunks.length) return;
    this.#leave(reading);
    reading.sink.end();
  }

  #leave(reading: Reading): void {
    if (!this.#readings.delete(reading)) return;
    this.#load.followers--;
    this.#releaseUnread();
  }

  /** Keeps within the bounds, and cuts off who wanted what goes. */
  #trim(): void {
    const most = this.#load.bytes > MAX_ALL_FLIGHT_BYTES ? FLIGHT_WINDOW_BYTES : MAX_FLIGHT_BYTES;
    if (this.#bytes <= most) return;
    // Some more than needed, or every piece from here on would move all that are kept.
    const target = most - most / 8;
    let gone = 0;
    for (; gone < this.#chunks.length - 1 && this.#bytes > target; gone++)
      this.#count(-(this.#chunks[gone]?.length ?? 0));
    this.#chunks = this.#chunks.slice(gone);
    this.#dropped += gone;
    for (const reading of this.#readings) {
      if (reading.next >= this.#dropped) continue;
      this.#leave(reading);
      reading.sink.cut();
    }
  }

  #releaseUnread(): void {
    if (!this.#forgotten || this.#readings.size > 0) return;
    this.#count(-this.#bytes);
    this.#dropped += this.#chunks.length;
    this.#chunks = [];
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    this.#load.bytes += bytes;
  }
}

/** All that fly. */
export class Flights {
  readonly #load: Load = { bytes: 0, followers: 0 };
  readonly #flights = new Map<string, Flight>();

  get size(): number {
    return this.#flights.size;
  }

  get bytes(): number {
    return this.#load.bytes;
  }

  get followers(): number {
    return this.#load.followers;
  }

  /** Undefined when there are too many, or one has that id. @param id 32 hex digits that nobody can guess */
  begin(id: string, head: FlightHead): Flight | undefined {
    if (this.#flights.size >= MAX_FLIGHTS || this.#flights.has(id)) return undefined;
    if (this.#load.bytes > MAX_ALL_FLIGHT_BYTES) return undefined;
    const flight = new Flight(head, this.#load);
    this.#flights.set(id, flight);
    return flight;
  }

  find(id: string): Flight | undefined {
    return this.#flights.get(id);
  }

  /** Who reads it reads on; nobody new does. */
  forget(id: string): void {
    this.#flights.get(id)?.forget();
    this.#flights.delete(id);
  }
}
