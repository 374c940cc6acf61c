import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { type Flight, Flights, type Follower } from "./flights.ts";
import { FLIGHT_WINDOW_BYTES, MAX_ALL_FLIGHT_BYTES, MAX_FLIGHT_BYTES, MAX_FLIGHTS, MAX_FOLLOWERS } from "./limits.ts";

/** Answers on their way: what followers get of them, and what is kept. */

const HEAD = { contentType: "text/event-stream", key: undefined, askedAt: 0 };

/** Takes so many pieces, then none until it is told to go on. */
class Sink {
  text = "";
  bytes = 0;
  fate: "end" | "cut" | undefined;
  room: number;

  constructor(room = Number.POSITIVE_INFINITY) {
    this.room = room;
  }
  write(bytes: Buffer): boolean {
    if (this.fate !== undefined || this.room <= 0) throw new Error("nobody may write now");
    this.bytes += bytes.length;
    if (bytes.length < 100) this.text += bytes.toString();
    return --this.room > 0;
  }
  end(): void {
    this.#is("end");
  }
  cut(): void {
    this.#is("cut");
  }
  #is(fate: "end" | "cut"): void {
    if (this.fate !== undefined) throw new Error(`${fate} behind ${this.fate}`);
    this.fate = fate;
  }
}

let flights: Flights;
let flight: Flight;
beforeEach(() => {
  flights = new Flights();
  flight = flights.begin("a", HEAD) as Flight;
});

const read = (room?: number): Sink & { follower: Follower | undefined } => {
  const sink = new Sink(room);
  return Object.assign(sink, { follower: flight.read(sink) });
};

describe("a flight", () => {
  it("gives each follower all from the first byte on, whenever it comes", () => {
    const early = read();
    flight.append(Buffer.from("one "));
    const middle = read();
    flight.append(Buffer.from("two "));
    flight.end();
    const late = read();
    for (const { text, fate } of [early, middle, late]) expect([text, fate]).toEqual(["one two ", "end"]);
    expect([flight.followers, flights.followers]).toEqual([0, 0]);
  });

  it("keeps a copy of what it is given", () => {
    const bytes = Buffer.from("mine");
    flight.append(bytes);
    bytes.fill("x");
    expect(read().text).toBe("mine");
  });

  it("does not wait for one that is slow", () => {
    const [slow, fast] = [read(1), read()];
    for (const text of ["a", "b", "c"]) flight.append(Buffer.from(text));
    expect([slow.text, fast.text]).toEqual(["a", "abc"]);
    flight.end();
    expect([slow.fate, fast.fate]).toEqual([undefined, "end"]);
    slow.room = 1;
    slow.follower?.resume();
    slow.room = 5;
    slow.follower?.resume();
    expect([slow.text, slow.fate]).toEqual(["abc", "end"]);
  });

  it("that breaks off is cut off for all, and taken up by nobody", () => {
    const [slow, fast] = [read(1), read()];
    flight.append(Buffer.from("a"));
    flight.abandon();
    flight.append(Buffer.from("b"));
    flight.end();
    expect([slow.fate, fast.fate, fast.text]).toEqual(["cut", "cut", "a"]);
    expect(read().follower).toBeUndefined();
  });

  it("gives nothing to one that has left", () => {
    const gone = read(1);
    flight.append(Buffer.from("a"));
    gone.follower?.leave();
    gone.follower?.leave();
    gone.follower?.resume();
    flight.append(Buffer.from("b"));
    flight.end();
    expect([gone.text, gone.fate, flights.followers]).toEqual(["a", undefined, 0]);
  });

  it("of more bytes than are kept loses its beginning: nobody new comes, and who is too slow is cut off", () => {
    const [slow, fast] = [read(1), read()];
    const piece = Buffer.alloc(256 * 1024, 0x61);
    const count = MAX_FLIGHT_BYTES / piece.length + 1;
    for (let i = 0; i < count; i++) flight.append(piece);
    expect([slow.fate, fast.fate, fast.bytes]).toEqual(["cut", undefined, count * piece.length]);
    expect(flights.bytes).toBeLessThanOrEqual(MAX_FLIGHT_BYTES);
    expect(read().follower).toBeUndefined();
    flight.end();
    expect(fast.fate).toBe("end");
  });

  it("frees its bytes when it is forgotten and the last one has read it", () => {
    flight.append(Buffer.from("abc"));
    const slow = read(1);
    flight.append(Buffer.from("def"));
    flight.end();
    flights.forget("a");
    expect([flights.size, flights.bytes, flights.find("a")]).toEqual([0, 6, undefined]);
    slow.room = 1;
    slow.follower?.resume();
    expect([slow.text, slow.fate, flights.bytes]).toEqual(["abcdef", "end", 0]);
    flights.forget("a");
  });
});

describe("all flights", () => {
  it("have ids of their own, and are bounded", () => {
    expect(flights.begin("a", HEAD)).toBeUndefined();
    for (let i = 1; i < MAX_FLIGHTS; i++) expect(flights.begin(`b${i}`, HEAD)).toBeDefined();
    expect(flights.begin("c", HEAD)).toBeUndefined();
    flights.forget("a");
    expect(flights.begin("a", HEAD)).toBeDefined();
  });

  it("have a bound of followers", () => {
    for (let i = 0; i < MAX_FOLLOWERS; i++) expect(flight.read(new Sink())).toBeDefined();
    expect(flight.read(new Sink())).toBeUndefined();
    flight.end();
    expect(flights.followers).toBe(0);
  });

  it("keep little of each when together they are too many bytes", () => {
    const piece = Buffer.alloc(MAX_FLIGHT_BYTES / 8);
    for (let n = 0; flights.bytes <= MAX_ALL_FLIGHT_BYTES - piece.length; n++) {
      const one = flights.begin(`full${n}`, HEAD);
      for (let i = 0; i < 8; i++) one?.append(piece);
    }
    flight.append(piece);
    const before = flights.bytes;
    flight.append(Buffer.alloc(FLIGHT_WINDOW_BYTES));
    flight.append(Buffer.alloc(FLIGHT_WINDOW_BYTES / 2));
    expect(flights.bytes).toBeLessThan(before);
    expect(read().follower).toBeUndefined();
  });

  it("whatever the order of pieces, ends, pauses and leavings, a follower gets a beginning of the answer, and all of it when it is told that this was the end", () => {
    const step = fc.oneof(
      fc.record({ what: fc.constant("append" as const), text: fc.string({ unit: "grapheme-ascii", maxLength: 5 }) }),
      fc.record({ what: fc.constantFrom("read", "end", "abandon", "forget") }),
      fc.record({ what: fc.constantFrom("resume", "leave"), who: fc.nat(5) }),
    );
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 60 }),
        fc.array(fc.nat(3), { minLength: 6, maxLength: 6 }),
        (steps, rooms) => {
          const all = new Flights();
          const one = all.begin("a", HEAD) as Flight;
          const sinks: (Sink & { follower: Follower | undefined })[] = [];
          let whole = "";
          let fate: "end" | "cut" | undefined;
          for (const each of steps) {
            const sink = "who" in each ? sinks[each.who] : undefined;
            if ("text" in each) {
              one.append(Buffer.from(each.text));
              if (fate === undefined) whole += each.text;
            } else if (each.what === "end") {
              one.end();
              fate ??= "end";
            } else if (each.what === "abandon") {
              one.abandon();
              fate ??= "cut";
            } else if (each.what === "forget") all.forget("a");
            else if (each.what === "leave") sink?.follower?.leave();
            else if (each.what === "resume" && sink !== undefined && sink.fate === undefined) {
              sink.room = 2;
              sink.follower?.resume();
            } else if (each.what === "read" && sinks.length < rooms.length && all.find("a") !== undefined) {
              const next = new Sink((rooms[sinks.length] ?? 0) + 1);
              sinks.push(Object.assign(next, { follower: one.read(next) }));
              expect(sinks.at(-1)?.follower === undefined).toBe(fate === "cut");
            }
            for (const { text, fate: seen } of sinks) {
              expect(whole.startsWith(text)).toBe(true);
              if (seen !== undefined) expect(seen).toBe(fate);
              if (seen === "end") expect(text).toBe(whole);
            }
            expect(all.bytes).toBeGreaterThanOrEqual(0);
          }
          for (const { follower } of sinks) follower?.leave();
          all.forget("a");
          expect([all.bytes, all.followers]).toEqual([0, 0]);
        },
      ),
    );
  });
});
