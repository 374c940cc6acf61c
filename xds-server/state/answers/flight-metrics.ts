/** Prometheus metrics of answers that others read along (flights.ts), in the server's registry. Labels have a fixed set of values. */
import { Counter, Gauge, type Registry } from "prom-client";
import type { Flights } from "./flights.ts";

/** What became of an answer: all of it came, it broke off, or there were too many. */
export const FLIGHT_RESULTS = ["complete", "broken", "refused"] as const;

/** What a request that read along got: all, a part because the answer broke off or it was too slow, a part because it left, or nothing. */
export const FOLLOW_RESULTS = ["complete", "broken", "left", "gone"] as const;
export type FollowResult = (typeof FOLLOW_RESULTS)[number];

export interface FlightMetrics {
  readonly flights: Counter<"result">;
  readonly follows: Counter<"result">;
  readonly bytes: Counter<"what">;
}

export function createFlightMetrics(registry: Registry, flights: Flights): FlightMetrics {
  const registers = [registry];
  const counter = <T extends string>(name: string, help: string, label: T, values: readonly string[]) => {
    const made = new Counter<T>({ name: `tokenmesh_answers_${name}`, help, labelNames: [label], registers });
    for (const value of values) made.inc({ [label]: value } as Record<T, string>, 0);
    return made;
  };
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name: `tokenmesh_answers_${name}`,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  gauge("flights", "Answers that can be read along.", () => flights.size);
  gauge("followers", "Requests that read along.", () => flights.followers);
  gauge("flight_memory_bytes", "Bytes of the answers that can be read along.", () => flights.bytes);
  return {
    flights: counter("flights_total", "Answers that could be read along, by result.", "result", FLIGHT_RESULTS),
    follows: counter("follows_total", "Requests that read along, by result.", "result", FOLLOW_RESULTS),
    bytes: counter("flight_bytes_total", "Bytes from leaders, and to those who read along.", "what", [
      "led",
      "followed",
    ]),
  };
}
